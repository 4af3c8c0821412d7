"""Votes and the best seat: the same opinions come to the same conclusion, in whatever order they arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.deliberation.best import best
from consilium.deliberation.opinion import Opinion
from consilium.deliberation.vote import normal_form, vote

OPINIONS = st.lists(
    st.tuples(st.sampled_from(["Yes.", "yes", "no", "No!", '{"a": 1, "b": 2}', '{"b":2,"a":1}']), st.integers(0, 4)),
    min_size=1,
    max_size=6,
).map(lambda drawn: [Opinion(seat=n, member=f"m{n}", weight=w / 4, text=t) for n, (t, w) in enumerate(drawn)])


def opinion(seat: int, weight: float, text: str) -> Opinion:
    return Opinion(seat=seat, member=f"m{seat}", weight=weight, text=text)


@given(opinions=OPINIONS, data=st.data())
def test_order_makes_no_difference(opinions: list[Opinion], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(opinions))
    assert vote(shuffled) == vote(opinions)
    assert best(shuffled) == best(opinions)


@given(opinions=OPINIONS)
def test_the_winner_outweighs_every_other_answer(opinions: list[Opinion]) -> None:
    conclusion = vote(opinions)
    won = normal_form(conclusion.text)
    weights: dict[str, float] = {}
    for one in opinions:
        weights[normal_form(one.text)] = weights.get(normal_form(one.text), 0) + one.weight
    assert weights[won] == max(weights.values())
    assert set(conclusion.dissent) == {one.seat for one in opinions if normal_form(one.text) != won}
    assert 0 <= conclusion.agreement <= 1


def test_a_tie_goes_to_the_lowest_seat() -> None:
    tied = [opinion(0, 0.5, "left"), opinion(1, 0.3, "right"), opinion(2, 0.2, "right")]
    assert vote(tied).text == "left"
    thirds = [opinion(0, 0.1, "left"), opinion(1, 0.2, "left"), opinion(2, 0.3, "right")]
    assert vote(thirds).text == "left", "0.1 + 0.2 is 0.3, whatever the last bit says"


def test_seats_without_weight_still_count_as_heads() -> None:
    assert vote([opinion(0, 0, "a"), opinion(1, 0, "a"), opinion(2, 0, "b")]).agreement == 2 / 3


def test_an_empty_statement_is_an_answer_of_its_own() -> None:
    assert vote([opinion(0, 0.4, ""), opinion(1, 0.6, "yes")]).dissent == (0,)


@pytest.mark.parametrize("depth", [500, 2_000, 100_000])
@pytest.mark.parametrize("closed", [True, False])
def test_brackets_without_end_are_an_answer_too(depth: int, closed: bool) -> None:
    deep = "[" * depth + "]" * depth * closed
    conclusion = vote([opinion(0, 0.4, "yes"), opinion(1, 0.3, deep), opinion(2, 0.3, deep)])
    assert (conclusion.text, conclusion.dissent) == (deep, (0,))
