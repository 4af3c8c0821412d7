"""A turn's outcome is one observation, shared among those who stand behind the verdict."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.deliberation.chair import chair_messages
from consilium.deliberation.opinion import Opinion
from consilium.engines.scripted import ScriptedEngine
from consilium.learning.credit import credits, leave_one_out, shares
from consilium.ledger.entries import OutcomeEntry, SeatEntry, StatementEntry, TurnEntry, TurnLog, VerdictEntry, now
from consilium.members.catalogue import Catalogue
from consilium.testing.ledger import outcome, seat, statement, verdict
from tests.support.personas import write_harbour


def log(
    weights: tuple[float, ...],
    source: int = 0,
    dissent: tuple[int, ...] = (),
    failed: tuple[int, ...] = (),
    outcomes: tuple[OutcomeEntry, ...] = (),
    chair: bool = False,
) -> TurnLog:
    """Return a concluded turn with seats of these weights."""
    seats: list[SeatEntry] = [seat("t1", number, weight=weight) for number, weight in enumerate(weights)]
    said: list[StatementEntry] = [statement("t1", number, f"word{number}") for number in range(len(weights))]
    if chair:
        seats.append(seat("t1", len(weights), role="chair", weight=0.0, member="clerk"))
        said.append(statement("t1", len(weights), "word0 indeed"))
    ended: VerdictEntry = replace(verdict("t1", "word0 indeed"), source_seat=source, dissent=dissent)
    return TurnLog(
        turn=TurnEntry(
            id="t1", session_id="s", number=1, message="why", options={}, status="concluded", admitted_at=now()
        ),
        decision=None,
        seats=tuple(seats),
        statements=tuple(
            replace(each, text="", error="SeatDeadline") if each.seat in failed else each for each in said
        ),
        verdict=ended,
        outcomes=outcomes,
    )


@pytest.mark.parametrize("weight", [1.0, 5e-324])
def test_a_lone_seat_gets_the_whole_credit(weight: float) -> None:
    assert shares(log((weight,))) == {0: 1.0}


def test_who_agrees_shares_and_who_dissents_does_not() -> None:
    assert shares(log((0.5, 0.3, 0.2), dissent=(2,))) == pytest.approx({0: 0.5 + 0.5 * 0.5 / 0.8, 1: 0.5 * 0.3 / 0.8})


def test_a_seat_that_failed_gets_none() -> None:
    assert shares(log((0.5, 0.5), failed=(1,))) == {0: 1.0}


def test_a_chair_gets_half_and_the_speakers_the_rest() -> None:
    assert shares(log((0.75, 0.25), source=2, chair=True)) == pytest.approx({0: 0.375, 1: 0.125, 2: 0.5})


def test_likelihoods_take_the_place_of_ballots() -> None:
    turn = log((0.75, 0.25), source=2, chair=True)
    assert shares(turn, {0: 3.0, 1: 1.0}) == pytest.approx({0: 0.375, 1: 0.125, 2: 0.5})
    assert shares(turn, {0: 3.0, 1: -1.0}) == pytest.approx({0: 0.5, 2: 0.5})
    assert shares(turn, {0: -1.0, 1: -1.0}) == {2: 1.0}


def test_a_turn_without_a_verdict_credits_nobody() -> None:
    unfinished = replace(log((1.0,), outcomes=(outcome("t1"),)), verdict=None)
    assert credits(unfinished) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5), st.lists(st.floats(-5, 5), min_size=5, max_size=5), st.data())
def test_shares_sum_to_one(weights: list[float], gains: list[float], data: st.DataObject) -> None:
    source = data.draw(st.integers(0, len(weights) - 1))
    dissent = tuple(number for number in range(len(weights)) if number != source and data.draw(st.booleans()))
    turn = log(tuple(weights), source, dissent)
    for carried in (None, dict(enumerate(gains[: len(weights)]))):
        found = shares(turn, carried)
        assert sum(found.values()) == pytest.approx(1)
        assert min(found.values()) > 0
        assert found[source] >= 0.5


def test_each_outcome_is_shared_with_its_own_weight() -> None:
    of_turn = replace(outcome("t1", "whole"), score=1.0, weight=2.0)
    of_seat = replace(outcome("t1", "one"), score=0.0, seat=2)
    found = credits(log((0.5, 0.5, 0.0), dissent=(2,), outcomes=(of_turn, of_seat)))
    assert [(each.outcome, each.seat, each.score) for each in found] == [
        ("whole", 0, 1.0),
        ("whole", 1, 1.0),
        ("one", 2, 0.0),
    ]
    assert [each.weight for each in found] == pytest.approx([1.5, 0.5, 1.0])


async def test_the_seat_whose_words_the_chair_took_carried_the_verdict(tmp_path: Path) -> None:
    catalogue = Catalogue.load(write_harbour(tmp_path))
    turn = log((0.5, 0.5), source=2, chair=True)
    # a chair that repeats whichever statements it is shown
    engine = ScriptedEngine({"clerk": lambda prompt: prompt.messages[-1].content.replace('"', " ")})
    async with engine:
        carried = await leave_one_out(turn, engine, catalogue)
        assert await leave_one_out(log((0.5, 0.5)), engine, catalogue) is None
    assert carried is not None
    assert carried[0] > 5
    assert carried[1] == pytest.approx(0)
    assert shares(turn, carried) == pytest.approx({0: 0.5, 2: 0.5})


def test_what_the_chair_is_asked_without_a_seat_names_the_others_only() -> None:
    kept = [Opinion(seat=1, member="mate", weight=0.5, text="word1")]
    assert "word0" not in chair_messages("system", "why", kept)[-1].content
