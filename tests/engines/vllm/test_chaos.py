"""Turns of a council whose server misbehaves: each ends in time, typed, and stands in the ledger once."""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from consilium import Council
from consilium.council.turn import Turn
from consilium.engines.vllm.engine import ATTEMPTS, VllmEngine
from consilium.errors import TurnFailed
from consilium.ledger.entries import TurnLog
from consilium.members.base import Base
from consilium.members.catalogue import Catalogue
from tests.support.chaos import ChaosProxy, Fault
from tests.support.council import FirstSeats, real_base
from tests.support.served import URL, RealServer
from tests.support.tiny import write_base_of_adapters
from tests.support.vllm import FakeVllm

LATE_S = 1.0
"""By so much may a turn outlive the deadline of its seats."""
MENDED: tuple[Fault, ...] = ("none", "reset", "500", "429", "json")
"""What a second attempt mends, because nothing was heard."""
LOST: dict[Fault, str] = {"cut": "EngineLost", "model": "EngineLost", "drip": "SeatDeadline"}
"""What costs the seat, and how that is told."""


@dataclass(kw_only=True)
class Outpost:
    """A council, the proxy between it and its server, and what the ledger says of its turns."""

    council: Council
    proxy: ChaosProxy
    deadline_s: float
    seats: int

    async def ask(self, *faults: Fault, message: str = "How deep is it?") -> tuple[Turn | None, TurnLog]:
        """Play a turn through these faults and look whether what always holds does; None is a turn that failed.

        At temperature 0, so that a seat is one statement's attempts, and no drafts.
        """
        self.proxy.faults = list(faults)
        before, started = self.proxy.asked, time.monotonic()
        turn = None
        with suppress(TurnFailed):
            turn = await self.council.ask(message, temperature=0.0)
        assert time.monotonic() - started < self.deadline_s + LATE_S
        assert self.proxy.asked - before <= ATTEMPTS * self.seats
        self.proxy.faults = []
        return turn, await self._recorded(turn)

    async def _recorded(self, turn: Turn | None) -> TurnLog:
        (log,) = await self.council.parts.ledger.turns(limit=1)
        assert log.turn.status == ("concluded" if turn else "failed")
        assert sorted(entry.seat for entry in log.statements) == list(range(self.seats)), "one each, and none twice"
        asked = self.proxy.asked
        if turn:
            assert (await self.council.resume(turn.id)).verdict == turn.verdict
        assert self.proxy.asked == asked, "what is recorded is not asked for again"
        return log


@asynccontextmanager
async def outpost(
    base: Base, crew: Catalogue, upstream: str, database: Path, *, deadline_s: float, seats: int
) -> AsyncIterator[Outpost]:
    async with ChaosProxy(upstream=upstream).running() as proxy:
        council = Council.open(
            engine=VllmEngine(base, crew, [proxy.url], work=database.parent / "adapters"),
            router=FirstSeats(crew),
            personas=crew.root,
            database=f"sqlite:///{database}",
            deadline_s=deadline_s,
            seats=seats,
        )
        async with council:
            yield Outpost(council=council, proxy=proxy, deadline_s=deadline_s, seats=seats)


def errors(log: TurnLog) -> list[str]:
    return sorted(entry.error for entry in log.statements if entry.error)


class TestFake:
    """Against a server that is none: every fault, in milliseconds."""

    @pytest.fixture
    async def fake(self, tmp_path: Path) -> AsyncIterator[FakeVllm]:
        async with FakeVllm(base=write_base_of_adapters(tmp_path / "base"), token_s=0.001).running() as server:
            yield server

    @pytest.fixture
    def deadline_s(self, request: pytest.FixtureRequest) -> float:
        """Short only where it is waited for, so that a busy machine loses no other seat."""
        return 2.0 if "drip" in request.node.name else 20.0

    @pytest.fixture
    async def post(self, harbour: Path, fake: FakeVllm, tmp_path: Path, deadline_s: float) -> AsyncIterator[Outpost]:
        crew = Catalogue.load(harbour)
        async with outpost(fake.base, crew, fake.url, tmp_path / "l.db", deadline_s=deadline_s, seats=2) as found:
            await found.council.ask("Is anybody there?")  # loads what a first turn has to load
            yield found

    @pytest.mark.parametrize("fault", MENDED)
    async def test_a_fault_before_anything_was_heard_costs_no_seat(self, post: Outpost, fault: Fault) -> None:
        turn, log = await post.ask(fault)
        assert turn is not None
        assert errors(log) == []

    @pytest.mark.parametrize("fault", LOST)
    async def test_a_fault_in_the_middle_costs_its_seat_alone(self, post: Outpost, fault: Fault) -> None:
        turn, log = await post.ask(fault)
        assert turn is not None
        assert turn.verdict.text
        assert errors(log) == [LOST[fault]]

    @pytest.mark.parametrize("fault", [*MENDED[1:], *LOST])
    async def test_a_fault_that_stays_fails_the_turn_with_typed_errors(self, post: Outpost, fault: Fault) -> None:
        turn, log = await post.ask(*[fault] * 50)
        assert turn is None
        assert set(errors(log)) <= {"EngineLost", "EngineBusy", "SeatDeadline"}
        after, log = await post.ask()
        assert after is not None
        assert errors(log) == [], "the next turn is as good as any"

    @pytest.mark.parametrize("fault", [*MENDED, "cut", "model"])
    async def test_no_part_of_an_answer_is_left_to_the_garbage_collector(self, post: Outpost, fault: Fault) -> None:
        left: list[str] = []
        sys.set_asyncgen_hooks(finalizer=lambda generator: left.append(generator.__qualname__))
        await post.ask(fault, fault)
        gc.collect()
        assert left == []

    @pytest.mark.slow
    async def test_whatever_comes_every_turn_ends(self, post: Outpost) -> None:
        chance = Random(6)
        kinds: Sequence[Fault] = (*MENDED, *(fault for fault in LOST if fault != "drip"))
        lost = 0
        for number in range(25):
            _, log = await post.ask(*chance.choices(kinds, k=8), message=f"question {number}")
            lost += len(errors(log))
        assert 0 < lost < 50

    async def test_a_server_that_dies_in_the_middle_and_comes_back_without_adapters(
        self, post: Outpost, fake: FakeVllm
    ) -> None:
        fake.token_s = 0.05
        turn = asyncio.create_task(post.ask())
        await asyncio.sleep(0.4)
        post.proxy.break_all()
        async with FakeVllm(base=fake.base).running() as another:
            post.proxy.upstream = another.url
            dead, log = await turn
            assert dead is None
            assert errors(log) == ["EngineLost"] * 2
            alive, log = await post.ask()
            assert alive is not None
            assert errors(log) == []
            assert len(another.adapters) == 3, "each was loaded again, and the one that changes nothing too"


@pytest.mark.vllm
@pytest.mark.model
class TestReal:
    """Against vLLM itself: the faults that hang on how it really answers."""

    @pytest.fixture
    async def post(self, server: RealServer, shipped: Catalogue, tmp_path: Path) -> AsyncIterator[Outpost]:
        async with outpost(real_base(), shipped, URL, tmp_path / "l.db", deadline_s=30.0, seats=6) as found:
            yield found

    async def test_resets_errors_and_nonsense_are_mended(self, post: Outpost) -> None:
        turn, log = await post.ask("reset", "500", "429", "json")
        assert turn is not None
        assert errors(log) == []

    async def test_what_breaks_off_or_answers_as_another_costs_its_seat(self, post: Outpost) -> None:
        turn, log = await post.ask("cut", "model")
        assert turn is not None
        assert errors(log) == ["EngineLost"] * 2
        assert sum(not entry.error for entry in log.statements) == 4

    async def test_a_killed_server_fails_the_turn_and_one_without_adapters_is_given_them(
        self, post: Outpost, server: RealServer
    ) -> None:
        before, _ = await post.ask()
        turn = asyncio.create_task(post.ask(message="What do you see from the harbour wall this morning?"))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(server.kill)
        dead, log = await turn
        assert dead is None or len(errors(log)) > 0
        assert set(errors(log)) <= {"EngineLost", "EngineBusy"}
        await asyncio.to_thread(lambda: server.start(bare=True))
        after, log = await post.ask()
        assert errors(log) == []
        assert before is not None
        assert after is not None
        assert [seat.statement.text for seat in after.seats] == [seat.statement.text for seat in before.seats]
