"""Figures of routers, on scores whose figures are known."""

import numpy as np
import pytest

from consilium.errors import BadRows
from consilium.evaluation.routed import Routed, gain, pooled, usage

CREW = ("pilot", "mate", "cook")


def routed(scores: list[list[float]], right: list[int]) -> Routed:
    return Routed(members=CREW, scores=np.array(scores), right=np.array(right))


SURE = routed([[1, 0, 0], [0, 1, 0], [0, 1, 0], [1, 0, 0]], [0, 1, 1, 1])


def test_figures_count_what_they_say() -> None:
    figures = SURE.figures()
    assert figures["top1"] == 0.75
    assert figures["mean_recall"] == pytest.approx((1 + 2 / 3) / 2)
    assert figures["ece"] == pytest.approx(0.25)
    assert figures["brier"] == pytest.approx(2 / 4)
    assert SURE.recalls() == {"pilot": 1.0, "mate": pytest.approx(2 / 3)}


def test_scores_as_sure_as_they_are_right_are_calibrated() -> None:
    drawn = np.random.default_rng(0)
    sure = drawn.uniform(0.5, 1, 20_000)
    right = (drawn.random(20_000) > sure).astype(int)
    scores = np.stack([sure, 1 - sure, np.zeros(20_000)], 1)
    assert Routed(members=CREW, scores=scores, right=right).figures()["ece"] < 0.01


def test_a_gain_is_sure_where_one_is_right_much_more_often() -> None:
    right = [number % 3 for number in range(300)]
    perfect = routed(np.eye(3)[right].tolist(), right)
    mixed = routed(np.eye(3)[[0 if n % 5 == 0 else r for n, r in enumerate(right)]].tolist(), right)
    interval = gain(perfect, mixed)
    assert interval.difference == pytest.approx(1 - mixed.hits.mean())
    assert 0 < interval.low < interval.difference < interval.high
    assert gain(perfect, perfect).high == 0


def test_parts_are_pooled_and_their_usage_told() -> None:
    assert len(pooled([SURE, SURE]).right) == 8
    assert usage({"a": SURE, "b": SURE}).tolist() == [[0.5, 0.5, 0.0]] * 2


@pytest.mark.parametrize(("scores", "right"), [([[1.0, 0.0, 0.0]], [0, 1]), ([[1.0, 0.0]], [0])])
def test_scores_that_do_not_fit_are_refused(scores: list[list[float]], right: list[int]) -> None:
    with pytest.raises(BadRows, match="give each a score a member"):
        routed(scores, right)


def test_other_requests_cannot_be_compared() -> None:
    with pytest.raises(BadRows, match="different requests"):
        gain(SURE, routed([[1, 0, 0]], [0]))


def test_narrowed_to_those_whose_work_it_is_nobody_else_may_sit() -> None:
    told = routed([[0.2, 0.1, 0.7], [0.1, 0.2, 0.7], [0, 0, 1]], [0, 0, 1])
    narrowed = told.narrowed()
    assert narrowed.members == ("pilot", "mate")
    assert narrowed.scores.sum(1) == pytest.approx(1)
    assert narrowed.hits.tolist() == [True, False, False]
    assert not told.hits.any()
