"""Intervals of differences: what they contain, and what they are of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilium.errors import BadRows
from consilium.evaluation.bootstrap import Interval, paired_interval
from consilium.evaluation.label import macro_f1
from consilium.evaluation.texts import chrf, corpus_chrf
from consilium.evaluation.work import WORKS
from consilium.training.rows import Row

LABEL = WORKS["label"]
ROWS = [Row(request=f"boat {n}", replies=("in" if n % 4 else "out",)) for n in range(100)]
RIGHT = [row.replies[0] for row in ROWS]


def spoilt(count: int) -> list[str]:
    return ["lost"] * count + RIGHT[count:]


def test_the_difference_is_that_of_the_headline_and_lies_within() -> None:
    found = paired_interval(LABEL, spoilt(10), spoilt(40), ROWS)
    assert found.difference == pytest.approx(0.3)
    assert found.low < 0.3 < found.high
    # The binomial's own bounds: 0.3 +- 1.96 * sqrt(0.3 * 0.7 / 100) = 0.3 +- 0.09.
    assert (found.low, found.high) == pytest.approx((0.21, 0.39), abs=0.025)


def test_rows_are_paired_so_that_what_both_get_wrong_widens_nothing() -> None:
    alike = paired_interval(LABEL, spoilt(50), spoilt(51), ROWS)
    unlike = paired_interval(LABEL, spoilt(50), RIGHT[:49] + ["lost"] * 51, ROWS)
    assert alike.difference == pytest.approx(unlike.difference)
    assert alike.high - alike.low < 0.05 < 0.3 < unlike.high - unlike.low


def test_two_speakers_who_say_the_same_do_not_differ() -> None:
    assert paired_interval(LABEL, spoilt(30), spoilt(30), ROWS) == Interval(difference=0, low=0, high=0)


def test_macro_f1_is_computed_anew_on_each_draw() -> None:
    work = LABEL.with_headline("macro_f1")
    always = ["in"] * len(ROWS)
    found = paired_interval(work, RIGHT, always, ROWS, resamples=200)
    references = [row.replies for row in ROWS]
    assert found.difference == pytest.approx(1 - macro_f1(always, references))
    assert found.low < found.difference < found.high
    # The mean of right labels differs by 0.25; macro-F1 by more than 0.5, and so do its bounds.
    assert found.low > 0.5


def test_chrf_is_the_mean_of_its_sentences() -> None:
    rows = [Row(request="x", replies=(text,)) for text in ("no", "the boat lay at the quay", "aye")]
    said, other = ["no", "a boat was at a quay", "nay"], ["yes", "the boat lay at the quay", "nay"]
    found = paired_interval(WORKS["split"], said, other, rows)
    references = [row.replies for row in rows]
    pairs = zip(said, other, references, strict=True)
    assert found.difference == pytest.approx(sum(chrf(a, due) - chrf(b, due) for a, b, due in pairs) / 3)
    # The short row that is right outweighs the long one, which over the corpus it does not.
    assert corpus_chrf(said, references) - corpus_chrf(other, references) < 0 < found.difference


def test_most_intervals_hold_the_difference_they_were_drawn_from() -> None:
    generator = np.random.default_rng(7)
    held = 0
    for _ in range(200):
        better, worse = (generator.random(len(ROWS)) < chance for chance in (0.7, 0.5))
        said, other = (
            [right if got else "lost" for right, got in zip(RIGHT, side, strict=True)] for side in (better, worse)
        )
        found = paired_interval(LABEL, said, other, ROWS, resamples=200)
        held += found.low <= 0.2 <= found.high
    # 95 % are promised; of 200, fewer than 180 would be a chance of one in a thousand.
    assert 180 <= held < 200


def test_more_rows_make_a_narrower_interval() -> None:
    def width(count: int) -> float:
        right = RIGHT[:count]
        found = paired_interval(LABEL, right, ["lost"] * (count // 2) + right[count // 2 :], ROWS[:count])
        assert found.difference == 0.5
        return found.high - found.low

    assert width(20) > 1.5 * width(100) > 0.1


def test_the_same_seed_gives_the_same_bounds() -> None:
    def found(seed: int) -> Interval:
        return paired_interval(LABEL, spoilt(10), spoilt(40), ROWS, resamples=50, seed=seed)

    assert found(0) == found(0)
    assert found(0) != found(1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=20))
def test_exchanging_the_speakers_turns_the_interval_round(pairs: list[tuple[bool, bool]]) -> None:
    rows = ROWS[: len(pairs)]
    said, other = (
        [row.replies[0] if right else "lost" for row, right in zip(rows, side, strict=True)]
        for side in zip(*pairs, strict=True)
    )
    there = paired_interval(LABEL, said, other, rows, resamples=100)
    back = paired_interval(LABEL, other, said, rows, resamples=100)
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert -1 <= there.low <= there.high <= 1


@pytest.mark.parametrize(("statements", "rows", "resamples"), [([], [], 10), (["in"], ROWS, 10), (RIGHT, ROWS, 0)])
def test_what_gives_no_interval_is_refused(statements: list[str], rows: list[Row], resamples: int) -> None:
    with pytest.raises(BadRows):
        paired_interval(LABEL, statements, statements, rows, resamples=resamples)
