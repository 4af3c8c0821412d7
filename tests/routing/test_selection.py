"""Selection: how many sit, the caller's limits, abstention, and what chance does."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilium.errors import BadSettings, UnknownMember
from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Decision, Request
from consilium.routing.selection import Selection
from tests.support.personas import write_catalogue, write_persona

CREW = ("pilot", "mate", "cook", "clerk")
SURE = {"pilot": 0.7, "mate": 0.2, "cook": 0.06, "clerk": 0.04}
TOKENS = {"pilot": 64, "mate": 64, "cook": 300, "clerk": 64}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    root = tmp_path_factory.mktemp("crew")
    for name in CREW:
        group = "desk" if name == "clerk" else "crew"
        write_persona(root, name, group, sampling={"max_tokens": TOKENS[name]})
    write_catalogue(root, {"desk": ["clerk"], "crew": list(CREW[:3])}, fallback="clerk")
    return Catalogue.load(root)


def request(**limits: object) -> Request:
    return Request(**{"message": "hello", "seats": 3, **limits})  # type: ignore[arg-type]


def decided(selection: Selection, *chosen: object, **known: object) -> Decision:
    return selection.decide(*chosen, router="any", digest="d", **known)  # type: ignore[arg-type]


def names(selected: Decision) -> list[str]:
    return [choice.member for choice in selected.seats]


def test_another_sits_only_where_its_chance_is_worth_its_tokens(catalogue: Catalogue) -> None:
    assert names(decided(Selection(), SURE, request(), catalogue)) == ["pilot", "mate"]
    assert names(decided(Selection(token_price=0.01), SURE, request(), catalogue)) == ["pilot"]
    assert names(decided(Selection(token_price=0.0), SURE, request(), catalogue)) == ["pilot", "mate", "cook"]
    evenly = {"pilot": 0.4, "mate": 0.1, "cook": 0.4, "clerk": 0.1}  # the cook speaks for longer
    assert names(decided(Selection(), evenly, request(), catalogue)) == ["pilot"]


def test_all_drafts_of_a_member_have_their_price_and_count_against_a_budget(tmp_path: Path) -> None:
    for name in CREW:
        drafts = {"drafts": 8, "temperature": 0.7} if name == "mate" else {}
        write_persona(tmp_path, name, "crew", sampling={"max_tokens": 64, **drafts})
    write_catalogue(tmp_path, {"crew": list(CREW)}, fallback="clerk")
    drafting = Catalogue.load(tmp_path)
    assert names(decided(Selection(), SURE, request(), drafting)) == ["pilot"]
    for budget, second in ((576, "mate"), (575, "cook")):
        asked = request(seats=2, token_budget=budget)
        assert names(decided(Selection(token_price=0.0), SURE, asked, drafting)) == ["pilot", second]


LOSSES = {"pilot": 2.0, "mate": 0.5, "cook": 3.0, "clerk": 1.0}


def test_the_first_seat_goes_where_least_is_lost_and_counts_as_much_as_the_likeliest(catalogue: Catalogue) -> None:
    found = decided(Selection(), SURE, request(), catalogue, regrets=LOSSES)
    assert names(found) == ["mate", "pilot"]
    assert [choice.weight for choice in found.seats] == [0.5, 0.5]
    assert dict(found.scores) == SURE
    barred = decided(Selection(), SURE, request(must_not_sit=("mate",)), catalogue, regrets=LOSSES)
    assert names(barred) == ["clerk"]
    assert barred.abstained
    wrong_alike = {name: 1 - score for name, score in SURE.items()}
    assert decided(Selection(), SURE, request(), catalogue, regrets=wrong_alike) == decided(
        Selection(), SURE, request(), catalogue
    )


def test_who_must_sit_does_not_take_the_seat_of_who_loses_least(catalogue: Catalogue) -> None:
    unlikely = {"pilot": 0.7, "mate": 0.05, "cook": 0.2, "clerk": 0.05}
    found = decided(Selection(), unlikely, request(must_sit=("cook",), seats=2), catalogue, regrets=LOSSES)
    assert sorted(names(found)) == ["cook", "mate"]


@pytest.mark.parametrize(("loss", "first"), [(0.94, "mate"), (0.96, "clerk")])
def test_the_fallback_gives_way_only_to_who_is_worth_it(catalogue: Catalogue, loss: float, first: str) -> None:
    found = decided(Selection(), SURE, request(seats=1), catalogue, regrets={**LOSSES, "mate": loss})
    assert names(found) == [first]
    assert found.abstained == (first == "clerk")


@pytest.mark.parametrize(
    ("limits", "seated"),
    [
        ({"seats": 1}, ["pilot"]),
        ({"min_seats": 3}, ["pilot", "mate", "cook"]),
        ({"must_sit": ("cook",)}, ["pilot", "mate", "cook"]),
        ({"must_sit": ("cook", "pilot")}, ["pilot", "mate", "cook"]),
        ({"must_sit": ("cook",), "seats": 1}, ["cook"]),
        ({"must_not_sit": ("pilot",)}, ["mate"]),
        ({"must_not_sit": ("pilot", "mate", "cook")}, ["clerk"]),
        ({"token_budget": 100}, ["pilot"]),
        ({"token_budget": 128}, ["pilot", "mate"]),
        ({"token_budget": 1}, ["pilot"]),
        ({"token_budget": 400, "min_seats": 3}, ["pilot", "mate", "clerk"]),
        ({"must_sit": ("cook",), "token_budget": 364}, ["cook", "pilot"]),
    ],
    ids=str,
)
def test_the_callers_limits_hold(limits: dict[str, object], seated: list[str], catalogue: Catalogue) -> None:
    assert sorted(names(decided(Selection(), SURE, request(**limits), catalogue))) == sorted(seated)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"must_sit": ("mate",), "must_not_sit": ("mate",)}, "'mate' must sit and must not"),
        ({"must_sit": ("mate", "cook"), "seats": 1}, "2 members must sit, and at most 1 may"),
        ({"min_seats": 2, "seats": 1}, "min_seats=2 is more than seats=1"),
        ({"must_not_sit": CREW}, "names every member"),
    ],
)
def test_limits_that_cannot_hold_are_refused(limits: dict[str, object], message: str, catalogue: Catalogue) -> None:
    with pytest.raises(BadSettings, match=message):
        decided(Selection(), SURE, request(**limits), catalogue)


@pytest.mark.parametrize("limit", ["must_sit", "must_not_sit"])
def test_strangers_are_refused_by_name(limit: str, catalogue: Catalogue) -> None:
    with pytest.raises(UnknownMember, match="'pilto'"):
        decided(Selection(), SURE, request(**{limit: ("pilto",)}), catalogue)


def test_the_fallback_sits_alone_where_nobody_fits(catalogue: Catalogue) -> None:
    unsure = {"pilot": 0.4, "mate": 0.3, "cook": 0.2, "clerk": 0.1}
    for selected in (
        decided(Selection(least_score=0.5), unsure, request(), catalogue),
        decided(Selection(), unsure, request(), catalogue, nobody_fits=True),
        decided(Selection(), {**unsure, "clerk": 0.45}, request(), catalogue),
    ):
        assert (names(selected), selected.abstained) == (["clerk"], True)
    barred = decided(Selection(least_score=0.5), unsure, request(must_not_sit=("clerk",)), catalogue)
    assert (barred.seats[0].member, barred.abstained) == ("pilot", False)
    asked_for = decided(Selection(least_score=0.5), unsure, request(must_sit=("mate",)), catalogue)
    assert (names(asked_for), asked_for.abstained) == (["mate"], False)


def test_where_nobody_fits_the_fallback_leads_whoever_else_has_to_sit(catalogue: Catalogue) -> None:
    unsure = {"pilot": 0.4, "mate": 0.3, "cook": 0.2, "clerk": 0.1}
    found = decided(Selection(), unsure, request(min_seats=2), catalogue, nobody_fits=True)
    assert (names(found), found.abstained) == (["clerk", "pilot"], True)
    assert found.seats[0].weight >= found.seats[1].weight


def test_another_limit_on_what_a_member_may_speak_is_another_choice(catalogue: Catalogue, tmp_path: Path) -> None:
    for name in CREW:
        group = "desk" if name == "clerk" else "crew"
        write_persona(tmp_path, name, group, sampling={"max_tokens": TOKENS[name] + (name == "mate")})
    write_catalogue(tmp_path, {"desk": ["clerk"], "crew": list(CREW[:3])}, fallback="clerk")
    other = Catalogue.load(tmp_path)
    assert Selection().identity(other) != Selection().identity(catalogue)
    assert Selection(seed=1).identity(catalogue) != Selection().identity(catalogue)


def test_chance_seats_as_often_as_its_propensities_say(catalogue: Catalogue) -> None:
    explorer = Selection(exploration=0.3, seed=1)
    rounds = 3000
    seats = Counter(
        name
        for number in range(rounds)
        for name in names(decided(explorer, SURE, request(message=f"hello {number}"), catalogue))
    )
    propensities = decided(explorer, SURE, request(), catalogue).propensities
    assert propensities == pytest.approx({"pilot": 1.0, "mate": 0.7, "cook": 0.15, "clerk": 0.15})
    for name, propensity in propensities.items():
        assert seats[name] / rounds == pytest.approx(propensity, abs=0.03)


def test_the_same_request_is_drawn_alike_and_another_seed_draws_anew(catalogue: Catalogue) -> None:
    asked = [request(message=f"hello {number}") for number in range(40)]
    first, again, other = (
        [names(decided(Selection(exploration=0.5, seed=seed), SURE, each, catalogue)) for each in asked]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_whoever_must_sit_is_not_explored_away(catalogue: Catalogue) -> None:
    explorer = Selection(exploration=1.0)
    selected = decided(explorer, SURE, request(must_sit=("mate",), seats=1), catalogue)
    assert names(selected) == ["mate"]
    assert selected.propensities == {"pilot": 0.0, "mate": 1.0, "cook": 0.0, "clerk": 0.0}


@settings(max_examples=200, deadline=None)
@given(
    scores=st.lists(st.floats(0.01, 1), min_size=4, max_size=4),
    seats=st.integers(1, 4),
    exploration=st.floats(0, 1),
    barred=st.sets(st.sampled_from(CREW), max_size=3),
    budget=st.none() | st.integers(1, 500),
    message=st.text(max_size=8),
)
def test_propensities_sum_to_the_seats_and_limits_hold_whatever_chance_says(
    catalogue: Catalogue,
    scores: list[float],
    seats: int,
    exploration: float,
    barred: set[str],
    budget: int | None,
    message: str,
) -> None:
    given_scores = {name: score / sum(scores) for name, score in zip(CREW, scores, strict=True)}
    limits = request(message=message, seats=seats, must_not_sit=tuple(barred), token_budget=budget)
    selected = decided(Selection(exploration=exploration), given_scores, limits, catalogue)
    assert sum(selected.propensities.values()) == pytest.approx(len(selected.seats))
    assert 1 <= len(selected.seats) <= seats
    assert not set(names(selected)) & barred
    assert all(selected.propensities[name] > 0 for name in names(selected))
    assert sum(choice.weight for choice in selected.seats) == pytest.approx(1)
    assert len(selected.seats) == 1 or budget is None or sum(TOKENS[name] for name in names(selected)) <= budget
    assert not selected.abstained or names(selected) == ["clerk"]
