"""The ledger against a dictionary: whatever is done in whatever order, both hold the same."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from consilium.errors import OutcomeDiffers, TurnBusy, UnknownTurn
from consilium.ledger.entries import UNFINISHED, ClosingEntry, Entry, OutcomeEntry
from consilium.ledger.sql import SqlLedger
from consilium.testing.ledger import MEMBER, decision, statement, verdict

Result = TypeVar("Result")
TURNS = st.sampled_from(["t1", "t2", "t3"])
SEATS = st.integers(0, 2)  # a decision has two: the third is never there
TEXTS = st.sampled_from(["aye", "no"])


@dataclass
class Modelled:
    """What the ledger is to hold of one turn."""

    session: str
    number: int
    status: str = "open"
    tries: int = 1
    mine: bool = True
    decided: bool = False
    said: dict[int, str] = field(default_factory=dict)
    verdict: str | None = None
    outcomes: dict[str, float] = field(default_factory=dict)


class LedgerMachine(RuleBasedStateMachine):
    """Admit, decide, record, vote, close, score, crash, recover, purge."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.model: dict[str, Modelled] = {}
        self.ledger = self._opened()

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(work)

    def _opened(self) -> SqlLedger:
        ledger = SqlLedger(f"sqlite:///{self.folder / 'ledger.db'}")
        self._do(ledger.__aenter__())
        self._do(ledger.record(MEMBER))
        return ledger

    def _recorded(self, turn_id: str, holds: bool, *entries: Entry) -> bool:
        """Record; where the model says that something is missing, it must be refused."""
        if turn_id in self.model and holds:
            self._do(self.ledger.record(*entries))
            return True
        with pytest.raises(UnknownTurn):
            self._do(self.ledger.record(*entries))
        return False

    @rule(turn_id=TURNS, session=st.sampled_from(["s1", "s2"]))
    def admit(self, turn_id: str, session: str) -> None:
        entry = self._do(self.ledger.admit(session_id=session, turn_id=turn_id, message="m", options={}))
        if turn_id not in self.model:
            number = 1 + max((turn.number for turn in self.model.values() if turn.session == session), default=0)
            self.model[turn_id] = Modelled(session=session, number=number)
        assert (entry.session_id, entry.number) == (self.model[turn_id].session, self.model[turn_id].number)

    @rule(turn_id=TURNS)
    def decide(self, turn_id: str) -> None:
        if self._recorded(turn_id, True, decision(turn_id)):
            self.model[turn_id].decided = True

    @rule(turn_id=TURNS, seat=SEATS, text=TEXTS)
    def say(self, turn_id: str, seat: int, text: str) -> None:
        decided = turn_id in self.model and self.model[turn_id].decided and seat < 2
        if self._recorded(turn_id, decided, statement(turn_id, seat, text)):
            self.model[turn_id].said.setdefault(seat, text)

    @rule(turn_id=TURNS, text=TEXTS)
    def conclude(self, turn_id: str, text: str) -> None:
        decided = turn_id in self.model and self.model[turn_id].decided
        if self._recorded(turn_id, decided, verdict(turn_id, text), ClosingEntry(turn_id=turn_id, status="concluded")):
            turn = self.model[turn_id]
            turn.verdict = turn.verdict or text
            if turn.status in UNFINISHED:
                turn.status = "concluded"

    @rule(turn_id=TURNS, status=st.sampled_from(["interrupted", "failed"]))
    def close(self, turn_id: str, status: Literal["interrupted", "failed"]) -> None:
        if self._recorded(turn_id, True, ClosingEntry(turn_id=turn_id, status=status)):
            turn = self.model[turn_id]
            if turn.status in UNFINISHED:
                turn.status, turn.mine = status, False

    @rule(turn_id=TURNS, key=st.sampled_from(["k1", "k2"]), score=st.sampled_from([0.0, 1.0]))
    def score(self, turn_id: str, key: str, score: float) -> None:
        entry = OutcomeEntry(key=key, turn_id=turn_id, seat=None, score=score, source="user")
        standing = {k: (name, s) for name, turn in self.model.items() for k, s in turn.outcomes.items()}
        if key in standing and standing[key] != (turn_id, score):
            with pytest.raises(OutcomeDiffers):
                self._do(self.ledger.record(entry))
        elif self._recorded(turn_id, True, entry):
            self.model[turn_id].outcomes[key] = score

    @rule()
    def crash(self) -> None:
        """The process dies: its lock is gone, and nothing was closed."""
        lock = self.ledger._player._lock  # type: ignore[attr-defined]
        if lock is not None:
            lock.release()
        self._do(self.ledger._database.close(lambda: None))
        for turn in self.model.values():
            turn.mine = False
        self.ledger = self._opened()

    @rule(turn_id=TURNS)
    def recover(self, turn_id: str) -> None:
        if turn_id not in self.model:
            with pytest.raises(UnknownTurn):
                self._do(self.ledger.claim(turn_id))
            return
        self._do(self.ledger.claim(turn_id))
        turn = self.model[turn_id]
        if turn.status in UNFINISHED:
            turn.status, turn.mine, turn.tries = "open", True, turn.tries + 1

    @rule(session=st.sampled_from(["s1", "s2"]))
    def purge(self, session: str) -> None:
        mine = {name: turn for name, turn in self.model.items() if turn.session == session}
        if not mine:
            with pytest.raises(UnknownTurn):
                self._do(self.ledger.purge(session))
        elif any(turn.mine and turn.status in UNFINISHED for turn in mine.values()):
            with pytest.raises(TurnBusy):
                self._do(self.ledger.purge(session))
        else:
            self._do(self.ledger.purge(session))
            for name in mine:
                del self.model[name]

    @invariant()
    def both_hold_the_same(self) -> None:
        logs = {log.turn.id: log for log in self._do(self.ledger.turns(limit=100))}
        assert set(logs) == set(self.model)
        for name, turn in self.model.items():
            log = logs[name]
            assert (log.turn.session_id, log.turn.number) == (turn.session, turn.number)
            assert (log.turn.status, log.turn.tries) == (turn.status, turn.tries)
            assert (log.decision is not None) == turn.decided
            assert {entry.seat: entry.text for entry in log.statements} == turn.said
            assert len(log.statements) == len(turn.said)
            assert (log.verdict.text if log.verdict else None) == turn.verdict
            assert {entry.key: entry.score for entry in log.outcomes} == turn.outcomes

    def teardown(self) -> None:
        with suppress(Exception):
            self._do(self.ledger.__aexit__(None, None, None))
        self.loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def examples(count: int) -> None:
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=count,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
        ),
    )


def test_a_few_histories() -> None:
    examples(15)


@pytest.mark.slow
def test_a_thousand_histories() -> None:
    examples(1_000)
