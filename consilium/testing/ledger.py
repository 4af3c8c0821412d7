"""What every `consilium.ledger.protocol.Ledger` promises."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from consilium.errors import BadInput, OutcomeDiffers, UnknownTurn
from consilium.ledger.entries import (
    ClosingEntry,
    DecisionEntry,
    Entry,
    MemberEntry,
    OutcomeEntry,
    SeatEntry,
    StatementEntry,
    VerdictEntry,
)
from consilium.ledger.protocol import Ledger
from consilium.ledger.reading import pages

MEMBER = MemberEntry(content_name="pilot@aaaaaaaaaaaa", name="pilot", group="crew", adapter_digest="a" * 64, base="b@0")


def seat(turn_id: str, number: int, **changes: object) -> SeatEntry:
    """Return a seat of `MEMBER`."""
    entry = SeatEntry(
        turn_id=turn_id,
        number=number,
        member=MEMBER.name,
        content_name=MEMBER.content_name,
        role="speaker",
        weight=0.5,
    )
    return replace(entry, **changes)  # type: ignore[arg-type]  # fields of any type


def decision(turn_id: str, seats: int = 2) -> DecisionEntry:
    """Return a decision with that many seats."""
    return DecisionEntry(
        turn_id=turn_id,
        router="even",
        router_digest="0" * 64,
        scores={"pilot": 0.75, "mate": 0.25},
        propensities={"pilot": 1.0, "mate": 0.0},
        abstained=False,
        seats=tuple(seat(turn_id, number) for number in range(seats)),
    )


def statement(turn_id: str, number: int, text: str = "aye") -> StatementEntry:
    """Return a statement of that seat."""
    return StatementEntry(
        turn_id=turn_id,
        seat=number,
        attempt=1,
        text=text,
        error=None,
        error_message=None,
        finish="stop",
        prompt_tokens=3,
        completion_tokens=1,
        first_token_ms=1.5,
        latency_ms=2.5,
        engine="scripted",
    )


def verdict(turn_id: str, text: str = "aye") -> VerdictEntry:
    """Return a verdict in the words of seat 0."""
    return VerdictEntry(turn_id=turn_id, text=text, method="best", source_seat=0, agreement=0.5, dissent=(1,))


def outcome(turn_id: str, key: str = "k") -> OutcomeEntry:
    """Return an outcome of the whole turn."""
    return OutcomeEntry(key=key, turn_id=turn_id, seat=None, score=0.5, source="metric")


async def admit(ledger: Ledger, turn_id: str = "t1", session_id: str = "s1") -> None:
    """Admit a turn."""
    await ledger.admit(session_id=session_id, turn_id=turn_id, message=f"message of {turn_id}", options={"seats": 2})


async def whole_turn(ledger: Ledger, turn_id: str = "t1", session_id: str = "s1") -> None:
    """Record a turn from admission to closing."""
    await ledger.record(MEMBER)
    await admit(ledger, turn_id, session_id)
    await ledger.record(decision(turn_id))
    await ledger.record(statement(turn_id, 0))
    await ledger.record(statement(turn_id, 1, "no"))
    await ledger.record(verdict(turn_id), ClosingEntry(turn_id=turn_id, status="concluded"))


class LedgerConformance:
    """Subclass it and override the fixture `ledger`; each test gets an empty one."""

    @pytest.fixture
    def ledger(self) -> Ledger:
        """Return a new, empty ledger that is not yet entered."""
        raise NotImplementedError("override the fixture `ledger`")

    async def test_turns_are_numbered_within_their_session(self, ledger: Ledger) -> None:
        async with ledger:
            for turn_id, session_id in (("t1", "s1"), ("t2", "s1"), ("t3", "s2")):
                await admit(ledger, turn_id, session_id)
            numbers = [(await ledger.load(turn_id)).turn.number for turn_id in ("t1", "t2", "t3")]
        assert numbers == [1, 2, 1]

    async def test_admission_is_recorded_once(self, ledger: Ledger) -> None:
        async with ledger:
            first = await ledger.admit(session_id="s1", turn_id="t1", message="one", options={"seats": 1})
            again = await ledger.admit(session_id="s2", turn_id="t1", message="two", options={"seats": 2})
            turns = await ledger.turns()
            with pytest.raises(UnknownTurn, match="s2"):  # and no session was opened for it
                await ledger.turns(session_id="s2")
        assert again == first
        assert [log.turn.message for log in turns] == ["one"]
        assert first.status == "open"
        assert first.options == {"seats": 1}
        assert first.admitted_at.utcoffset() == timedelta(0)

    async def test_concurrent_admissions_get_numbers_of_their_own(self, ledger: Ledger) -> None:
        async with ledger:
            async with asyncio.TaskGroup() as group:
                for number in range(8):
                    group.create_task(admit(ledger, f"t{number}"))
            numbers = [log.turn.number for log in await ledger.turns(session_id="s1")]
        assert sorted(numbers) == list(range(1, 9))

    async def test_a_turn_comes_back_whole(self, ledger: Ledger) -> None:
        async with ledger:
            await whole_turn(ledger)
            log = await ledger.load("t1")
        assert log.turn.status == "concluded"
        assert log.decision == decision("t1")
        assert log.seats == decision("t1").seats
        assert log.statements == (statement("t1", 0), statement("t1", 1, "no"))
        assert log.verdict == verdict("t1")
        assert log.outcomes == ()

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (MEMBER, replace(MEMBER, group="other")),
            (decision("t1"), replace(decision("t1"), router="other")),
            (seat("t1", 7, role="chair"), seat("t1", 7, role="chair", weight=0.1)),
            (statement("t1", 0), statement("t1", 0, "other")),
            (verdict("t1"), verdict("t1", "other")),
            (ClosingEntry(turn_id="t1", status="concluded"), ClosingEntry(turn_id="t1", status="failed")),
            (outcome("t1"), replace(outcome("t1"), scored_at=datetime(2026, 1, 1, tzinfo=UTC))),
        ],
        ids=lambda entry: type(entry).__name__,
    )
    async def test_what_stands_under_a_key_is_returned_and_stays(
        self, ledger: Ledger, first: Entry, second: Entry
    ) -> None:
        async with ledger:
            await ledger.record(MEMBER)
            await admit(ledger)
            if not isinstance(first, DecisionEntry):
                await ledger.record(decision("t1"))
            assert await ledger.record(first) == (first,)
            before = await ledger.load("t1")
            assert await ledger.record(second) == (first,)
            assert await ledger.load("t1") == before

    @pytest.mark.parametrize(
        "entry",
        [
            decision("nowhere"),
            seat("nowhere", 0),
            replace(seat("t1", 5), content_name="nobody"),
            statement("t1", 9),
            verdict("nowhere"),
            replace(verdict("t1"), source_seat=9),
            ClosingEntry(turn_id="nowhere", status="failed"),
            OutcomeEntry(key="k", turn_id="nowhere", seat=None, score=1.0, source="user"),
            OutcomeEntry(key="k", turn_id="t1", seat=9, score=1.0, source="user"),
        ],
        ids=lambda entry: type(entry).__name__,
    )
    async def test_entries_that_belong_to_nothing_are_refused_with_all_beside_them(
        self, ledger: Ledger, entry: Entry
    ) -> None:
        async with ledger:
            await ledger.record(MEMBER)
            await admit(ledger)
            before = await ledger.load("t1")
            with pytest.raises(UnknownTurn):
                await ledger.record(decision("t1"), entry)
            assert await ledger.load("t1") == before

    @pytest.mark.parametrize("score", [-0.01, 1.01, float("nan")])
    async def test_a_score_out_of_range_is_refused_with_all_beside_it(self, ledger: Ledger, score: float) -> None:
        async with ledger:
            await whole_turn(ledger)
            with pytest.raises(BadInput) as refused:
                await ledger.record(outcome("t1", "good"), replace(outcome("t1", "bad"), score=score))
            assert not isinstance(refused.value, UnknownTurn)  # the turn is known
            assert (await ledger.load("t1")).outcomes == ()

    async def test_one_of_concurrent_entries_under_a_key_stands_for_all(self, ledger: Ledger) -> None:
        async with ledger:
            await ledger.record(MEMBER)
            await admit(ledger)
            await ledger.record(decision("t1"))
            async with asyncio.TaskGroup() as group:
                calls = [group.create_task(ledger.record(statement("t1", 0, f"text {n}"))) for n in range(5)]
            assert {call.result() for call in calls} == {(await ledger.load("t1")).statements}

    async def test_what_stands_is_returned_in_the_order_given(self, ledger: Ledger) -> None:
        async with ledger:
            await ledger.record(MEMBER)
            await admit(ledger)
            await ledger.record(decision("t1"))
            await ledger.record(statement("t1", 1))
            given = verdict("t1"), statement("t1", 1, "other"), statement("t1", 0)
            assert await ledger.record(*given) == (verdict("t1"), statement("t1", 1), statement("t1", 0))
            assert await ledger.record() == ()

    async def test_a_decision_keeps_seats_that_were_recorded_before_it(self, ledger: Ledger) -> None:
        async with ledger:
            await ledger.record(MEMBER)
            await admit(ledger)
            early = replace(seat("t1", 0), weight=1.0)
            await ledger.record(early)
            (stands,) = await ledger.record(decision("t1"))
            assert stands == replace(decision("t1"), seats=(early, seat("t1", 1)))
            assert (await ledger.load("t1")).decision == stands

    async def test_one_refused_write_leaves_those_beside_it_alone(self, ledger: Ledger) -> None:
        async with ledger:
            await ledger.record(MEMBER)
            await admit(ledger)
            await ledger.record(decision("t1"))
            good, bad = ledger.record(statement("t1", 0)), ledger.record(statement("t1", 9))
            found = await asyncio.gather(good, bad, return_exceptions=True)
            log = await ledger.load("t1")
        assert found[0] == (statement("t1", 0),)
        assert isinstance(found[1], UnknownTurn)
        assert log.statements == (statement("t1", 0),)

    async def test_an_unknown_turn_or_session_is_an_error(self, ledger: Ledger) -> None:
        async with ledger:
            with pytest.raises(UnknownTurn, match="nowhere"):
                await ledger.load("nowhere")
            with pytest.raises(UnknownTurn, match="nowhere"):
                await ledger.turns(session_id="nowhere")
            assert list(await ledger.turns()) == []

    async def test_the_newest_turns_come_oldest_first(self, ledger: Ledger) -> None:
        async with ledger:
            for number in range(5):
                await admit(ledger, f"t{number}", f"s{number % 2}")
            assert [log.turn.id for log in await ledger.turns(limit=3)] == ["t2", "t3", "t4"]
            assert [log.turn.id for log in await ledger.turns(session_id="s1")] == ["t1", "t3"]
            assert [log.turn.id for log in await ledger.turns(session_id="s0", limit=2)] == ["t2", "t4"]
            assert list(await ledger.turns(limit=0)) == []

    async def test_turns_come_back_whole_from_a_list_too(self, ledger: Ledger) -> None:
        async with ledger:
            for turn_id in ("t1", "t2"):
                await whole_turn(ledger, turn_id)
                await ledger.record(outcome(turn_id, turn_id))
            assert list(await ledger.turns()) == [await ledger.load("t1"), await ledger.load("t2")]

    async def test_statements_come_by_seat_and_attempt(self, ledger: Ledger) -> None:
        async with ledger:
            await ledger.record(MEMBER)
            await admit(ledger)
            await ledger.record(decision("t1"))
            said = [statement("t1", 0), replace(statement("t1", 0), attempt=2), statement("t1", 1)]
            await ledger.record(*reversed(said))
            assert (await ledger.load("t1")).statements == tuple(said)

    async def test_a_chair_is_a_seat_but_not_the_routers_choice(self, ledger: Ledger) -> None:
        async with ledger:
            await ledger.record(MEMBER)
            await admit(ledger)
            await ledger.record(decision("t1"))
            await ledger.record(seat("t1", 2, role="chair"))
            log = await ledger.load("t1")
        assert [entry.role for entry in log.seats] == ["speaker", "speaker", "chair"]
        assert log.decision == decision("t1")

    async def test_outcomes_come_by_time(self, ledger: Ledger) -> None:
        async with ledger:
            await whole_turn(ledger)
            for key, seat_ in (("late", None), ("later", 1)):
                await ledger.record(OutcomeEntry(key=key, turn_id="t1", seat=seat_, score=0.5, source="metric"))
            outcomes = (await ledger.load("t1")).outcomes
        assert [outcome.key for outcome in outcomes] == ["late", "later"]
        assert [outcome.seat for outcome in outcomes] == [None, 1]

    @pytest.mark.parametrize(
        "changes", [{"score": 0.25}, {"source": "user"}, {"seat": 1}, {"turn_id": "t2"}, {"weight": 2.0}], ids=str
    )
    async def test_another_outcome_under_a_key_is_refused_with_all_beside_it(
        self, ledger: Ledger, changes: dict[str, Any]
    ) -> None:
        async with ledger:
            await whole_turn(ledger)
            await whole_turn(ledger, "t2")
            await ledger.record(outcome("t1"))
            before = list(await ledger.turns())
            with pytest.raises(OutcomeDiffers, match="'k'"):
                await ledger.record(outcome("t1", "beside"), replace(outcome("t1"), **changes))
            assert list(await ledger.turns()) == before

    @pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
    async def test_a_weight_out_of_range_is_refused(self, ledger: Ledger, weight: float) -> None:
        async with ledger:
            await whole_turn(ledger)
            with pytest.raises(BadInput):
                await ledger.record(replace(outcome("t1"), weight=weight))
            await ledger.record(replace(outcome("t1"), weight=2.5))
            assert [entry.weight for entry in (await ledger.load("t1")).outcomes] == [2.5]

    async def test_a_turn_that_was_left_off_can_be_claimed_and_ended(self, ledger: Ledger) -> None:
        async with ledger:
            await ledger.record(MEMBER)
            await admit(ledger)
            await ledger.record(decision("t1"), statement("t1", 0))
            await ledger.record(ClosingEntry(turn_id="t1", status="interrupted"))
            assert (await ledger.load("t1")).turn.status == "interrupted"
            claimed = await ledger.claim("t1")
            assert (claimed.turn.status, claimed.turn.tries) == ("open", 2)
            assert claimed.statements == (statement("t1", 0),)
            await ledger.record(ClosingEntry(turn_id="t1", status="interrupted"))
            await ledger.record(ClosingEntry(turn_id="t1", status="failed"))
            await ledger.record(ClosingEntry(turn_id="t1", status="interrupted"))
            ended = await ledger.claim("t1")
            assert (ended.turn.status, ended.turn.tries) == ("failed", 2)
            with pytest.raises(UnknownTurn, match="nowhere"):
                await ledger.claim("nowhere")

    async def test_unfinished_turns_are_found(self, ledger: Ledger) -> None:
        async with ledger:
            for number in range(4):
                await admit(ledger, f"t{number}")
            await ledger.record(
                ClosingEntry(turn_id="t0", status="concluded"),
                ClosingEntry(turn_id="t1", status="failed"),
                ClosingEntry(turn_id="t2", status="interrupted"),
            )
            assert [log.turn.id for log in await ledger.turns(unfinished=True)] == ["t2", "t3"]

    async def test_pages_go_through_every_turn_once(self, ledger: Ledger) -> None:
        async with ledger:
            for number in range(7):
                await whole_turn(ledger, f"t{number}", f"s{number % 2}")
            found = [[log.turn.id for log in page] async for page in pages(ledger, page=3)]
            assert found == [["t0", "t1", "t2"], ["t3", "t4", "t5"], ["t6"]]
            fifth = await ledger.load("t5")
            rest = [log async for page in pages(ledger, after=(await ledger.load("t4")).turn) for log in page]
            assert rest == [fifth, await ledger.load("t6")]
            odd = [log.turn.id async for page in pages(ledger, session_id="s1", page=1) for log in page]
            assert odd == ["t1", "t3", "t5"]

    async def test_outcomes_keep_their_moment_whatever_its_zone(self, ledger: Ledger) -> None:
        noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
        morning = (noon - timedelta(hours=1)).astimezone(timezone(timedelta(hours=9)))  # 20:00 on its own clock
        moments = {"z": noon, "y": morning, "x": noon}
        async with ledger:
            await admit(ledger)
            await ledger.record(*(replace(outcome("t1", key), scored_at=at) for key, at in moments.items()))
            found = (await ledger.load("t1")).outcomes
        assert [(entry.key, entry.scored_at) for entry in found] == [("y", morning), ("x", noon), ("z", noon)]
