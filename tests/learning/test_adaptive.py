"""Outcomes in a ledger change who sits, each once; the guard gives the static router its seat back."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from consilium.council.council import Council
from consilium.engines.protocol import Prompt
from consilium.engines.scripted import ScriptedEngine
from consilium.errors import BadSettings
from consilium.learning.adaptive import AdaptiveRouter, ShadowRouter
from consilium.learning.guard import loses
from consilium.learning.learner import Learner
from consilium.learning.memory import Memory
from consilium.learning.scored import scored
from consilium.ledger.memory import MemoryLedger
from consilium.ledger.sql import SqlLedger
from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Decision, Request, SeatChoice
from tests.support.council import FirstSeats
from tests.support.personas import write_harbour


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    root = tmp_path / "personas"
    root.mkdir()
    return Catalogue.load(write_harbour(root))


def council(catalogue: Catalogue, url: str, **more: object) -> Council:
    engine = ScriptedEngine({"pilot": "port", "mate": "starboard", "clerk": "hm"})
    ledger = SqlLedger(url)
    static = FirstSeats(catalogue)
    memory = Memory(url=url, ledger=ledger, learner=Learner(catalogue=catalogue))
    return Council.open(
        personas=catalogue.root, engine=engine, router=AdaptiveRouter(static, memory), ledger=ledger, seats=1, **more
    )


async def test_a_member_that_fails_loses_its_seat(catalogue: Catalogue, database: str) -> None:
    async with council(catalogue, database) as asked:
        seated = []
        for number in range(60):
            turn = await asked.ask(f"which side, {number}?")
            seated.append(turn.seats[0].member)
            await asked.outcome(turn, score=float(turn.verdict.text == "starboard"), source="script")
        log = await asked.parts.ledger.load(turn.id)
    assert seated[0] == "pilot"
    assert seated[-20:].count("mate") >= 15
    assert log.decision is not None
    (beside,) = log.decision.beside
    assert (beside.router, beside.members) == ("first", ("pilot",))
    assert log.decision.router == "adaptive first"
    assert log.decision.propensities["pilot"] > 0


async def test_what_one_process_learned_another_knows_and_nothing_counts_twice(
    catalogue: Catalogue, database: str
) -> None:
    async with council(catalogue, database) as asked:
        for number in range(12):
            turn = await asked.ask(f"which side, {number}?")
            await asked.outcome(turn, score=0.25, source="script", key=f"k{number}")
    digest = FirstSeats(catalogue).digest()
    async with SqlLedger(database) as one, SqlLedger(database) as two:
        memories = [Memory(url=database, ledger=ledger, learner=Learner(catalogue=catalogue)) for ledger in (one, two)]
        async with asyncio.TaskGroup() as group:
            counts = [group.create_task(memory.learn(digest)) for memory in (*memories, *memories)]
        assert {count.result() for count in counts} == {12}
        beliefs = [await memory.recall(digest) for memory in memories]
    assert sum(belief.count for name, belief in beliefs[0].items() if name.endswith("@*")) == 12
    for name, belief in beliefs[0].items():
        assert np.array_equal(belief.evidence, beliefs[1][name].evidence)


async def test_a_shadow_decides_and_does_not_act(catalogue: Catalogue, database: str) -> None:
    class Mate(FirstSeats):
        async def route(self, request: Request) -> Decision:
            decided = await super().route(request)
            return replace(decided, router="mate", digest="a" * 64, seats=(SeatChoice(member="mate", weight=1.0),))

    engine = ScriptedEngine({"pilot": "port", "mate": "starboard", "clerk": "hm"})
    router = ShadowRouter(FirstSeats(catalogue), Mate(catalogue))
    async with Council.open(personas=catalogue.root, engine=engine, router=router, database=database, seats=1) as asked:
        turn = await asked.ask("which side?")
        log = await asked.parts.ledger.load(turn.id)
    assert log.decision == turn.decision
    assert [seat.member for seat in turn.seats] == ["pilot"]
    (beside,) = turn.decision.beside
    assert (beside.router, beside.router_digest, beside.members) == ("mate", "a" * 64, ("mate",))
    assert [call.member for call in engine.calls] == ["pilot"]


async def test_the_guard_sees_when_the_static_router_would_do_better(catalogue: Catalogue, database: str) -> None:
    chance = np.random.default_rng(0)
    async with council(catalogue, database) as asked:
        turn = await asked.ask("which side?")
        await asked.outcome(turn, score=1.0, source="script")
        log = await asked.parts.ledger.load(turn.id)
    assert log.decision is not None
    static = log.decision.beside[0]

    def turns(of_static: float, of_learner: float) -> list:  # type: ignore[type-arg]  # of Scored
        found = []
        for number in range(200):
            member = "pilot" if chance.random() < 0.1 else "mate"
            score = float(chance.random() < (of_static if member == "pilot" else of_learner))
            decision = replace(
                log.decision,
                propensities={"pilot": 0.1, "mate": 0.9, "clerk": 0.0},
                beside=(static,),
                seats=(replace(log.decision.seats[0], member=member),),
            )
            turn = replace(log.turn, id=str(number), session_id=str(number))
            outcomes = (replace(log.outcomes[0], score=score),)
            found.append(scored(replace(log, turn=turn, decision=decision, outcomes=outcomes)))
        return found

    assert loses(turns(0.9, 0.1), static.router_digest)
    assert not loses(turns(0.1, 0.9), static.router_digest)
    assert not loses(turns(0.9, 0.1)[:40], static.router_digest)


def test_learning_needs_a_ledger_that_lasts(catalogue: Catalogue) -> None:
    engine = ScriptedEngine({"pilot": "port", "mate": "starboard", "clerk": "hm"})
    with pytest.raises(BadSettings, match="learning=True needs a ledger in a file"):
        Council.open(
            personas=catalogue.root, engine=engine, router=FirstSeats(catalogue), ledger=MemoryLedger(), learning=True
        )


async def test_a_chairs_outcome_is_shared_by_likelihood_where_the_settings_say_so(
    catalogue: Catalogue, database: str
) -> None:
    def chair(asked: Prompt) -> str:  # takes the pilot's word wherever it is shown
        return "port" if '"port"' in asked.messages[-1].content else "hm"

    static = FirstSeats(catalogue).digest()
    engine = ScriptedEngine({"pilot": "port", "mate": "starboard", "clerk": chair})
    learned, more = {}, {"seats": 2, "deliberation": "chair", "database": database, "router": FirstSeats(catalogue)}
    for credit in ("ballots", "likelihood"):
        async with Council.open(personas=catalogue.root, engine=engine, learning=True, credit=credit, **more) as asked:
            turn = await asked.ask("which side?")
            await asked.outcome(turn, score=1.0, source="user")
            await asked.ask("and now?")  # before which it learns
            memory = Memory(
                url=database, ledger=asked.parts.ledger, learner=Learner(catalogue=catalogue, credit=credit)
            )
            beliefs = await memory.recall(static)
            learned[credit] = {name: belief.count for name, belief in beliefs.items() if name.endswith("@*")}
    assert learned == {
        "ballots": {"pilot@*": 1, "mate@*": 1, "clerk@*": 1},
        "likelihood": {"pilot@*": 2, "clerk@*": 2},
    }


async def test_an_engine_that_fails_leaves_credit_to_the_ballots(catalogue: Catalogue, database: str) -> None:
    static = FirstSeats(catalogue)
    closed = ScriptedEngine({})
    async with council(catalogue, database, deliberation="chair") as asked:
        turn = await asked.ask("which side?", seats=2)
        await asked.outcome(turn, score=1.0, source="user")
        learner = Learner(catalogue=catalogue, credit="likelihood")
        memory = Memory(url=database, ledger=asked.parts.ledger, learner=learner, engine=closed)
        assert await memory.learn(static.digest()) == 1
        assert set(await memory.recall(static.digest())) >= {"pilot@*", "mate@*", "clerk@*"}


async def test_a_member_that_gets_an_adapter_begins_with_what_is_known_of_that(
    catalogue: Catalogue, database: str
) -> None:
    static, learner = FirstSeats(catalogue), Learner(catalogue=catalogue)
    pilot, mate = (catalogue.get(name).content_name for name in ("pilot", "mate"))  # of one adapter, as it happens
    async with council(catalogue, database) as asked:
        memory = Memory(url=database, ledger=asked.parts.ledger, learner=learner)
        counts = []
        for score, seat in ((0.5, 0), (0.25, 1)):
            turn = await asked.ask(f"which side, {seat}?", seats=2, min_seats=2)
            assert turn.seats[seat].member == ("pilot", "mate")[seat]
            await asked.outcome(turn, score=score, source="script", seat=seat)
            await memory.learn(static.digest())
            beliefs = await memory.recall(static.digest())
            counts.append({name: belief.count for name, belief in beliefs.items()})
    assert counts[0] == {pilot: 1, "pilot@*": 1}
    assert counts[1] == {pilot: 1, "pilot@*": 1, mate: 2, "mate@*": 1}
