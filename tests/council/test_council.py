"""A turn through the public API: decided, spoken, concluded and recorded."""

import asyncio
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from consilium import Admitted, Concluded, Council, Decided, MemoryLedger, ScriptedEngine, Stated, Token, Turn
from consilium.engines.protocol import Message, Prompt
from consilium.errors import (
    BadInput,
    BadMessage,
    BadSettings,
    EngineLost,
    OutcomeDiffers,
    SeatDeadline,
    TurnFailed,
    UnknownMember,
    UnknownTurn,
)
from consilium.ledger.protocol import Ledger
from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Decision, Request
from tests.council.conftest import SAID, Open
from tests.support.council import FirstSeats

CREW = frozenset({"pilot", "mate", "clerk"})


async def test_a_turn_carries_who_sat_what_they_said_and_the_verdict(council: Council) -> None:
    turn = await council.ask("How deep is it?")
    assert [seat.member for seat in turn.seats] == ["pilot", "mate"]
    assert [round(seat.weight, 2) for seat in turn.seats] == [0.67, 0.33]
    assert [seat.statement.text for seat in turn.seats] == ["two fathoms", "Two fathoms."]
    assert turn.seats[0].content_name.startswith("pilot@")
    assert (turn.verdict.text, turn.verdict.method, turn.verdict.source_seat) == ("two fathoms", "best", 0)
    assert (turn.verdict.agreement, turn.verdict.dissent) == (1.0, ())
    assert turn.completion_tokens == 4
    assert turn.latency_ms > 0
    assert set(turn.decision.scores) == {"pilot", "mate", "clerk"}


async def test_the_ledger_holds_what_the_caller_got(council: Council) -> None:
    turn = await council.ask("How deep is it?")
    log = await council.parts.ledger.load(turn.id)
    assert Turn.from_log(log, latency_ms=turn.latency_ms) == turn
    assert log.turn.status == "concluded"


def test_without_an_event_loop(open_council: Open) -> None:
    council = open_council()
    try:
        turn = council.ask_sync("How deep is it?", seats=1)
        outcome = council.outcome_sync(turn, score=1.0, source="user")
        assert (outcome.turn_id, outcome.score) == (turn.id, 1.0)
        assert council.route_sync("How deep is it?").seats[0].member == "pilot"
        assert council.session().ask_sync("And now?").number == 1
    finally:
        council.close_sync()


def test_threads_without_an_event_loop_share_one(open_council: Open) -> None:
    council, together = open_council(), threading.Barrier(8)

    def ask(number: int) -> str:
        together.wait()
        return council.ask_sync(f"How deep is it at {number}?", seats=1).verdict.text

    try:
        with ThreadPoolExecutor(8) as threads:
            assert len(list(threads.map(ask, range(8), timeout=30))) == 8
    finally:
        council.close_sync()


async def test_events_are_versioned_numbered_and_labelled(council: Council) -> None:
    events = [event async for event in council.stream("How deep is it?")]
    assert [event.seq for event in events] == list(range(len(events)))
    assert {event.v for event in events} == {1}
    assert len({event.turn_id for event in events}) == 1
    assert isinstance(events[0], Admitted)
    assert isinstance(events[1], Decided)
    last = events[-1]
    assert isinstance(last, Concluded)
    for seat in last.turn.seats:
        said = "".join(e.text for e in events if isinstance(e, Token) and e.seat == seat.number)
        assert said == seat.statement.text
        assert {e.member for e in events if isinstance(e, Token) and e.seat == seat.number} == {seat.member}
    assert sorted(e.seat.number for e in events if isinstance(e, Stated)) == [0, 1]


@pytest.mark.parametrize("error", [EngineLost("gone."), SeatDeadline("too late.")])
async def test_a_failing_member_leaves_its_error_and_the_others_go_on(open_council: Open, error: Exception) -> None:
    async with open_council(replies={"pilot": error}) as council:
        turn = await council.ask("How deep is it?")
    pilot, mate = (seat.statement for seat in turn.seats)
    assert (pilot.error, pilot.error_message, pilot.text) == (type(error).__name__, str(error), "")
    assert mate.error is None
    assert (turn.verdict.text, turn.verdict.source_seat) == ("Two fathoms.", 1)


async def test_a_member_past_its_deadline_is_given_up(open_council: Open) -> None:
    engine = ScriptedEngine({"pilot": "a very slow reply", "mate": "quick", "clerk": ""}, token_s=0.2)
    async with open_council(engine=engine, deadline_s=0.3) as council:
        turn = await council.ask("How deep is it?")
    assert [seat.statement.error for seat in turn.seats] == ["SeatDeadline", None]
    assert turn.verdict.text == "quick"


async def test_a_turn_without_a_statement_is_an_error(open_council: Open) -> None:
    lost = {"pilot": EngineLost("gone."), "mate": EngineLost("gone too.")}
    async with open_council(replies=lost) as council:
        with pytest.raises(TurnFailed, match=r"EngineLost: gone\. .*EngineLost: gone too\."):
            await council.ask("How deep is it?")
        (log,) = await council.parts.ledger.turns()
    assert (log.turn.status, log.verdict) == ("failed", None)
    assert [entry.error for entry in log.statements] == ["EngineLost", "EngineLost"]


@pytest.mark.parametrize(
    ("message", "options", "error", "named"),
    [
        ("", {}, BadMessage, "''"),
        (" \n", {}, BadMessage, "empty"),
        ("word " * 9_000, {}, BadMessage, "8,192"),
        ("cut \ud83d", {}, BadMessage, "half a character"),
        ("hello", {"instructions": "\udfff"}, BadMessage, "half a character"),
        ("hello", {"members": ["pilto"]}, UnknownMember, "'pilot'"),
        ("hello", {"members": "pilot"}, BadSettings, "list"),
        ("hello", {"method": "duel"}, BadSettings, "'duel'"),
        ("hello", {"seats": 0}, BadSettings, "seats=0"),
        ("hello", {"max_tokens": -1}, BadSettings, "max_tokens=-1"),
        ("hello", {"temperature": 2.5}, BadSettings, "temperature=2.5"),
        ("hello", {"stop": [""]}, BadSettings, "stop.0=''"),
        ("hello", {"history": [Message(role="system", content="Obey.")]}, BadSettings, "instructions"),
        ("hello", {"history": [Message(role="user", content="word " * 9_000)]}, BadMessage, "8,192"),
        ("hello", {"volume": 11}, BadSettings, "volume=11"),
    ],
)
async def test_bad_input_is_refused_before_anything_is_recorded(
    council: Council, message: str, options: dict[str, object], error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        await council.ask(message, **options)  # type: ignore[arg-type]
    assert list(await council.parts.ledger.turns()) == []


async def test_named_members_sit_in_their_order(council: Council) -> None:
    turn = await council.ask("How deep is it?", members=["mate", "pilot", "mate"])
    assert [seat.member for seat in turn.seats] == ["mate", "pilot"]
    assert turn.decision.router == "pinned"


async def test_a_vote_counts_equal_answers_together(open_council: Open) -> None:
    async with open_council(replies={"pilot": "three fathoms"}) as council:
        turn = await council.ask("How deep?", method="vote", members=["pilot", "mate", "clerk"])
    assert (turn.verdict.text, turn.verdict.method) == ("three fathoms", "vote")
    assert turn.verdict.dissent == (1, 2)


async def test_a_chair_composes_and_sits_last(open_council: Open) -> None:
    async with open_council(replies={"clerk": "between two and three"}) as council:
        turn = await council.ask("How deep?", method="chair")
    chair = turn.seats[-1]
    assert (chair.member, chair.role, chair.number) == ("clerk", "chair", 2)
    assert (turn.verdict.text, turn.verdict.method, turn.verdict.source_seat) == ("between two and three", "chair", 2)


async def test_a_chair_that_fails_leaves_the_word_to_the_best_and_says_so(open_council: Open) -> None:
    async with open_council(replies={"clerk": EngineLost("asleep.")}) as council:
        turn = await council.ask("How deep?", method="chair")
    assert turn.seats[-1].statement.error == "EngineLost"
    assert (turn.verdict.text, turn.verdict.method) == ("two fathoms", "best")


async def test_a_session_is_heard_again_by_its_members_only(open_council: Open) -> None:
    engine = ScriptedEngine({"pilot": "aye", "mate": "no", "clerk": ""})
    async with open_council(engine=engine, seats=1) as council:
        session = council.session()
        await session.ask("first")
        second = await session.ask("second")
        again = await council.session(session.id).ask("third")
        await council.ask("elsewhere")
    assert (second.number, again.number) == (2, 3)
    heard = [[message.content for message in call.messages[1:]] for call in engine.calls]
    assert heard == [["first"], ["first", "aye", "second"], ["first", "aye", "second", "aye", "third"], ["elsewhere"]]


async def test_the_router_is_told_what_was_asked_before_and_who_sat(harbour: Path) -> None:
    heard: list[Request] = []

    class Listening(FirstSeats):
        async def route(self, request: Request) -> Decision:
            heard.append(request)
            return await super().route(request)

    router = Listening(Catalogue.load(harbour))
    async with Council.open(
        engine=ScriptedEngine(SAID), router=router, ledger=MemoryLedger(), personas=harbour
    ) as council:
        session = council.session()
        await session.ask("first", seats=1)
        await session.ask("second", members=["mate", "pilot"])
        await session.ask("third")
    assert [request.history for request in heard] == [(), ("first",), ("first", "second")]
    assert [request.sat for request in heard] == [(), ("pilot",), ("mate", "pilot")]


async def test_an_unknown_session_is_refused(council: Council) -> None:
    with pytest.raises(UnknownTurn, match="nowhere"):
        await council.session("nowhere").ask("hello")


async def test_the_oldest_history_gives_way_to_a_long_message(open_council: Open) -> None:
    engine = ScriptedEngine({"pilot": "aye", "mate": "no", "clerk": ""}, context_tokens=200)
    async with open_council(engine=engine, seats=1) as council:
        session = council.session()
        for number in range(6):
            await session.ask(f"{number} " + "word " * 20)
    heard = [message.content[0] for message in engine.calls[-1].messages if message.role == "user"]
    assert heard[-1] == "5"
    assert 1 < len(heard) < 6
    assert heard == sorted(heard)


async def test_outcomes_are_recorded_once_a_key(council: Council) -> None:
    turn = await council.ask("How deep is it?")
    first = await council.outcome(turn, score=0.5, seat=1, source="judge", key="k")
    assert await council.outcome(turn.id, score=0.5, seat=1, source="judge", key="k") == first
    with pytest.raises(OutcomeDiffers, match=r"key='k'.*score=0\.9"):
        await council.outcome(turn.id, score=0.9, key="k")
    assert (await council.parts.ledger.load(turn.id)).outcomes == (first,)


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan"), float("inf")])
async def test_scores_out_of_range_are_refused(council: Council, score: float) -> None:
    turn = await council.ask("How deep is it?")
    with pytest.raises(BadInput, match="score="):
        await council.outcome(turn, score=score)
    with pytest.raises(UnknownTurn):
        await council.outcome("nowhere", score=1.0)
    with pytest.raises(UnknownTurn):
        await council.outcome(turn, score=1.0, seat=7)
    assert (await council.parts.ledger.load(turn.id)).outcomes == ()


async def test_turns_at_the_same_time_keep_apart(open_council: Open) -> None:
    def echo(prompt: object) -> str:
        return prompt.messages[-1].content  # type: ignore[attr-defined,no-any-return]

    async with open_council(replies={"pilot": echo, "mate": echo}) as council:
        turns = await asyncio.gather(*(council.ask(f"question {number}") for number in range(8)))
    assert [turn.verdict.text for turn in turns] == [f"question {number}" for number in range(8)]


async def test_whoever_stops_listening_stops_the_turn(open_council: Open) -> None:
    begun = asyncio.Event()

    def begin(_: Prompt) -> str:
        begun.set()
        return "word " * 100

    engine = ScriptedEngine({"pilot": begin, "mate": begin, "clerk": ""}, token_s=0.01)
    async with open_council(engine=engine) as council:
        asking = asyncio.create_task(council.ask("How deep is it?"))
        await begun.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        (log,) = await council.parts.ledger.turns()
        assert log.turn.status == "interrupted"
        assert log.statements == ()


async def test_a_council_stays_on_its_event_loop(council: Council) -> None:
    await council.ask("How deep is it?")
    with pytest.raises(BadInput, match="another event loop"):
        await asyncio.to_thread(asyncio.run, council.ask("And here?"))


def test_a_script_that_never_closes_its_council_ends(harbour: Path, tmp_path: Path) -> None:
    program = f"""
        from consilium import Council, ScriptedEngine
        from consilium.members.catalogue import Catalogue
        from tests.support.council import FirstSeats
        from pathlib import Path
        root = Path({str(harbour)!r})
        council = Council.open(
            engine=ScriptedEngine({{"pilot": "aye", "mate": "no", "clerk": ""}}),
            router=FirstSeats(Catalogue.load(root)), personas=root, database="sqlite:///{tmp_path / "x.db"}",
        )
        print(council.ask_sync("How deep is it?").verdict.text)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "aye\n", "")


async def test_the_ledger_outlives_a_council(open_council: Open, ledger: Ledger) -> None:
    async with open_council() as council:
        turn = await council.ask("How deep is it?")
    async with ledger:
        assert (await ledger.load(turn.id)).turn.status == "concluded"


@pytest.mark.model
async def test_a_setting_lets_the_router_explore_and_say_how_likely_that_was(harbour: Path) -> None:
    shared = {"engine": ScriptedEngine(SAID), "ledger": MemoryLedger(), "personas": harbour, "seats": 1}
    async with Council.open(exploration=0.5, **shared) as bold, Council.open(**shared) as plain:  # type: ignore[arg-type]
        asked = [f"How deep is it at buoy {number}?" for number in range(20)]
        tried, sure = [[await council.route(message) for message in asked] for council in (bold, plain)]
    first = [decision.seats[0].member for decision in sure]
    assert {value for decision in sure for value in decision.propensities.values()} == {0.0, 1.0}
    for name, decision in zip(first, tried, strict=True):
        assert decision.propensities == {name: 0.5, **dict.fromkeys(CREW - {name}, 0.25)}
    assert 4 < sum(decision.seats[0].member == name for name, decision in zip(first, tried, strict=True)) < 16
