"""Turns that were cut off are taken up again, by one process at a time."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from consilium import ScriptedEngine
from consilium.council.recovery import TOGETHER, TRIES, Recovered, recover
from consilium.council.turn import Turn
from consilium.errors import BadInput, EngineLost, LedgerLocked, TurnBusy, TurnFailed, UnknownMember
from consilium.ledger.sql import SqlLedger
from consilium.testing.ledger import MEMBER
from tests.council.conftest import SAID, Open


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 -- what is waited for tells nobody
            await asyncio.sleep(0.005)


OPTIONS = {"seats": 2, "method": "best"}


async def cut_off(ledger: SqlLedger, *turn_ids: str) -> None:
    for turn_id in turn_ids:
        await ledger.admit(session_id=turn_id, turn_id=turn_id, message="How deep is it?", options=OPTIONS)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'shared.db'}"


async def test_a_starting_council_takes_up_what_was_cut_off(open_council: Open, url: str) -> None:
    async with SqlLedger(url) as ledger:
        await cut_off(ledger, "t1", "t2")
    async with open_council(ledger=SqlLedger(url)):
        pass
    async with SqlLedger(url) as ledger:
        logs = await ledger.turns()
    assert [(log.turn.id, log.turn.status, log.turn.tries) for log in logs] == [
        ("t1", "concluded", 2),
        ("t2", "concluded", 2),
    ]


async def test_it_leaves_alone_what_never_ends_until_asked(open_council: Open, url: str) -> None:
    async with SqlLedger(url) as ledger:
        await cut_off(ledger, "t1")
        for _ in range(TRIES - 1):
            await ledger.claim("t1")
    engine = ScriptedEngine(SAID)
    async with open_council(ledger=SqlLedger(url), engine=engine) as council:
        await until(lambda: council._recovering is not None and council._recovering.done())
        assert engine.calls == []
        (found,) = [found async for found in council.recover()]
        assert found.turn is not None
        assert [found async for found in council.recover()] == []


async def test_a_ledger_that_is_locked_ends_recovery_with_its_own_error(url: str) -> None:
    async def resume(turn_id: str) -> Turn:
        raise LedgerLocked(f"{turn_id} cannot be read")

    async with SqlLedger(url) as ledger:
        await cut_off(ledger, "t1", "t2")
        with pytest.raises(LedgerLocked, match="t1"):
            [found async for found in recover(ledger, resume, tries=None)]


async def test_a_defect_in_one_turn_keeps_nobody_from_the_others(open_council: Open, url: str) -> None:
    names = [f"t{number:02}" for number in range(TOGETHER + 2)]
    async with SqlLedger(url) as ledger:
        await cut_off(ledger, *names)
    async with open_council(ledger=SqlLedger(url), recover=False) as council:

        async def resume(turn_id: str) -> Turn:
            if turn_id == names[1]:
                raise RecursionError("too deep")
            return await council.resume(turn_id)

        found = {each.turn_id: each.error async for each in recover(council.parts.ledger, resume, tries=None)}
    assert {name: type(error) for name, error in found.items() if error is not None} == {names[1]: RecursionError}
    assert list(found) == names


async def test_a_turn_of_a_newer_version_keeps_nobody_from_the_others(open_council: Open, url: str) -> None:
    async with SqlLedger(url) as ledger:
        await ledger.admit(session_id="t0", turn_id="t0", message="?", options={**OPTIONS, "telepathy": True})
        await cut_off(ledger, "t1")
    async with open_council(ledger=SqlLedger(url), recover=False) as council:
        found = {each.turn_id: each.error async for each in council.recover()}
    assert isinstance(found["t0"], BadInput)
    assert found["t1"] is None


async def test_a_turn_that_lives_elsewhere_is_left_to_whoever_plays_it(open_council: Open, url: str) -> None:
    async with SqlLedger(url) as elsewhere:
        await cut_off(elsewhere, "t1", "t2")
        async with open_council(ledger=SqlLedger(url)) as council:
            (one, other) = [found async for found in council.recover()]
            assert (type(one.error), type(other.error)) == (TurnBusy, TurnBusy)
            with pytest.raises(TurnBusy, match="'t1'"):
                await council.resume("t1")
    async with open_council(ledger=SqlLedger(url)) as council:
        assert (await council.resume("t1")).number == 1


async def test_a_turn_in_hand_is_not_played_twice(open_council: Open, url: str) -> None:
    engine = ScriptedEngine({**SAID, "pilot": "word " * 50}, token_s=0.005)
    async with open_council(ledger=SqlLedger(url), engine=engine) as council:
        asking = asyncio.create_task(council.ask("How deep is it?"))
        await until(lambda: len(engine.calls) == 2)
        (log,) = await council.parts.ledger.turns()
        with pytest.raises(TurnBusy):
            await council.resume(log.turn.id)
        assert (await asking).id == log.turn.id
    assert len(engine.calls) == 2


async def test_one_that_cannot_be_played_keeps_none_from_it(open_council: Open, url: str) -> None:
    async with SqlLedger(url) as ledger:
        await ledger.record(MEMBER)
        await ledger.admit(session_id="s", turn_id="t1", message="m", options={**OPTIONS, "members": ["ghost"]})
        await cut_off(ledger, "t2")

    async with open_council(ledger=SqlLedger(url), recover=False) as council:
        found = {one.turn_id: one async for one in council.recover()}
    assert isinstance(found["t1"].error, UnknownMember)
    assert found["t2"].turn is not None


async def test_a_failed_turn_is_reported_as_failed(open_council: Open, url: str) -> None:
    async with SqlLedger(url) as ledger:
        await cut_off(ledger, "t1")
    lost = {name: EngineLost("gone") for name in SAID}
    async with open_council(ledger=SqlLedger(url), replies=lost, recover=False) as council:
        (found,) = [one async for one in council.recover()]
    assert isinstance(found, Recovered)
    assert isinstance(found.error, TurnFailed)


async def test_a_turn_taken_up_hears_what_it_heard(open_council: Open, url: str) -> None:
    """Two turns of a session are cut off; the second was asked when the first had no verdict."""
    whole, cut = SqlLedger(url), SqlLedger(f"{url}-2")
    digests = []
    for ledger in (whole, cut):
        async with open_council(ledger=ledger) as council:
            session = council.session()
            first = await session.ask("one")
            await session.ask("two")
            logs = await ledger.turns(session_id=session.id)
            assert logs[1].turn.options["heard"] == [first.id]
            third = await ledger.admit(
                session_id=session.id,
                turn_id=f"third-{len(digests)}",
                message="three",
                options={**OPTIONS, "heard": [first.id]},
            )
            digests.append([s.statement.prompt_digest for s in (await council.resume(third.id)).seats])
    assert digests[0] == digests[1]
    assert None not in digests[0]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_signals_drain(harbour: Path, url: str, number: signal.Signals, code: int) -> None:
    program = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell in the background turns off
import sys
from consilium import Council, ScriptedEngine
from consilium.cli.running import run
from consilium.members.catalogue import Catalogue
from tests.support.council import FirstSeats
from pathlib import Path
root = Path({str(harbour)!r})
async def main():
    engine = ScriptedEngine({{"pilot": "short", "mate": "word " * 1000, "clerk": ""}}, token_s=0.01)
    router = FirstSeats(Catalogue.load(root))
    async with Council.open(engine=engine, router=router, personas=root, database={url!r}) as council:
        async for event in council.stream("How deep is it?"):
            if event.kind == "stated":
                print("stated", flush=True)
try:
    run(main())
except KeyboardInterrupt:
    sys.exit(130)
"""
    child = subprocess.Popen([sys.executable, "-W", "error", "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert await asyncio.to_thread(child.stdout.readline) == "stated\n"
    child.send_signal(number)
    await asyncio.to_thread(child.communicate, timeout=10)
    assert child.returncode == code
    async with SqlLedger(url) as ledger:
        (log,) = await ledger.turns(unfinished=True)
    assert log.turn.status == "interrupted"
    assert [entry.seat for entry in log.statements] == [0]  # what was said is kept


def test_the_sync_facade_leaves_a_turn_off_in_good_order(harbour: Path, url: str) -> None:
    program = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell in the background turns off
from consilium import Council, ScriptedEngine
from consilium.members.catalogue import Catalogue
from tests.support.council import FirstSeats
from pathlib import Path
root = Path({str(harbour)!r})
def reply(prompt):
    print("asked", flush=True)
    return "word " * 1000
engine = ScriptedEngine({{"pilot": reply, "mate": "short", "clerk": ""}}, token_s=0.01)
council = Council.open(
    engine=engine, router=FirstSeats(Catalogue.load(root)), personas=root, database={url!r}
)
council.ask_sync("How deep is it?", seats=1)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "asked\n"
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=10)

    async def status() -> str:
        async with SqlLedger(url) as ledger:
            return (await ledger.turns())[0].turn.status

    assert asyncio.run(status()) == "interrupted"
