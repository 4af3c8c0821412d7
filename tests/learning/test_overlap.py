"""Sets of members that might have sat, and how likely each was."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.errors import BadInput
from consilium.learning.overlap import possible_sets, probability, unsupported
from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Request
from consilium.routing.selection import Selection
from tests.support.personas import write_harbour


def test_a_router_without_chance_has_one_set() -> None:
    assert possible_sets({"a": 1.0, "b": 1.0, "c": 0.0}) == {frozenset("ab"): 1.0}
    assert probability({"a": 1.0, "b": 0.0}, ["b"]) == 0


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6))
def test_probabilities_of_sets_sum_to_one(chances: list[float]) -> None:
    total = sum(chances)
    propensities = {"sure": 1.0, **{str(n): chance / total for n, chance in enumerate(chances)}}
    sets = possible_sets(propensities)
    assert len(sets) == len(chances)
    assert sum(sets.values()) == pytest.approx(1)
    assert all("sure" in found for found in sets)


def test_two_seats_left_to_chance_are_refused() -> None:
    with pytest.raises(BadInput, match=r"1\.500 seats to chance"):
        possible_sets({"a": 0.5, "b": 0.5, "c": 0.5})


def test_what_exploration_draws_is_what_the_sets_say(tmp_path: Path) -> None:
    catalogue = Catalogue.load(write_harbour(tmp_path))
    names = list(catalogue.members)
    scores = {name: 2.0**-place for place, name in enumerate(names)}
    counts: dict[frozenset[str], int] = {}
    for number in range(4_000):
        selection = Selection(exploration=0.3)
        decision = selection.decide(scores, Request(message=f"{number}", seats=1), catalogue, router="r", digest="d")
        seated = frozenset(choice.member for choice in decision.seats)
        counts[seated] = counts.get(seated, 0) + 1
    for found, chance in possible_sets(decision.propensities).items():
        assert counts[found] / 4_000 == pytest.approx(chance, abs=0.04)


def test_choices_that_never_could_be_logged_are_counted() -> None:
    never = {"a": 1.0, "b": 0.0}
    assert unsupported({"a": 0.0, "b": 1.0}, never) == 1
    assert unsupported({"a": 1.0, "b": 0.0}, {"a": 0.9, "b": 0.1}) == 0
