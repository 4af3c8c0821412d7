"""A turn that was cut off is played again, and pays for nothing twice."""

import pytest

from consilium import ScriptedEngine, Turn
from consilium.errors import TurnFailed, UnknownTurn
from consilium.ledger.entries import ClosingEntry, Entry, TurnLog
from consilium.ledger.memory import MemoryLedger
from tests.council.conftest import SAID, Open


async def uninterrupted(open_council: Open) -> TurnLog:
    """Return what the ledger holds of a whole turn with a chair."""
    ledger = MemoryLedger()
    async with open_council(ledger=ledger) as council:
        return await ledger.load((await council.ask("How deep is it?", method="chair")).id)


def steps(log: TurnLog) -> list[Entry]:
    """Return the turn's entries in the order in which they were recorded."""
    assert log.decision is not None
    assert log.verdict is not None
    speakers = [entry for entry in log.statements if entry.seat < 2]
    return [log.decision, *speakers, log.seats[-1], log.statements[-1], log.verdict]


@pytest.mark.parametrize("done", range(7))
async def test_every_recorded_step_is_kept(open_council: Open, done: int) -> None:
    whole = await uninterrupted(open_council)
    engine = ScriptedEngine(SAID)
    async with open_council(engine=engine) as council:
        ledger = council.parts.ledger
        turn = whole.turn
        await ledger.admit(session_id=turn.session_id, turn_id=turn.id, message=turn.message, options=turn.options)
        recorded = steps(whole)[:done]
        for entry in recorded:
            await ledger.record(entry)
        resumed = await council.resume(turn.id)
        calls = len(engine.calls)
        assert await council.resume(turn.id) == Turn.from_log(await ledger.load(turn.id))
    paid = sum(entry in whole.statements for entry in recorded)
    assert calls == len(whole.statements) - paid
    assert len(engine.calls) == calls
    assert whole.verdict is not None
    assert (resumed.verdict.text, resumed.verdict.method) == (whole.verdict.text, whole.verdict.method)
    assert [seat.member for seat in resumed.seats] == ["pilot", "mate", "clerk"]


async def test_a_failed_turn_stays_failed(open_council: Open) -> None:
    async with open_council() as council:
        await council.parts.ledger.admit(
            session_id="s", turn_id="t", message="m", options={"seats": 1, "method": "best"}
        )
        await council.parts.ledger.record(ClosingEntry(turn_id="t", status="failed"))
        with pytest.raises(TurnFailed):
            await council.resume("t")
        with pytest.raises(UnknownTurn):
            await council.resume("nowhere")
