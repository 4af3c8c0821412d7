"""Bootstrap: how far a difference between two speakers could have come from the choice of rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilium.engines.protocol import Likelihood
from consilium.errors import BadRows
from consilium.evaluation.work import Metric, Work
from consilium.training.rows import Row

CONFIDENCE = 0.95
DRAWN_AT_ONCE = 4_000_000
"""Places that are held in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A difference, of shares from -1 to 1 or of losses, and the bounds it lies between with a confidence of 95 %."""

    difference: float
    low: float
    high: float


def paired_interval(
    work: Work,
    statements_a: Sequence[str],
    statements_b: Sequence[str],
    rows: Sequence[Row],
    *,
    resamples: int = 1_000,
    seed: int = 0,
) -> Interval:
    """Return how much ``statements_a`` are above ``statements_b`` in the work's headline metric.

    Rows are drawn with replacement, as many as there are, and both sides are scored on the same draw (Koehn 2004,
    "Statistical Significance Tests for Machine Translation Evaluation", section 4.3); the bounds are the 2.5th and the
    97.5th percentile of the differences (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13).

    Macro-F1 is computed anew on each draw, over the labels that are due in it. chrF over a corpus would take minutes
    for that: difference and bounds are of the **mean of sentence chrF** in its place, which weighs a short statement
    like a long one, so that the difference is not quite that of the corpus figures. The same seed, the same bounds.

    Raises:
        BadRows: there are no rows, or not as many statements, or no resamples.

    >>> from consilium.evaluation.work import WORKS
    >>> rows = [Row(request=f"boat {n}", replies=("in",)) for n in range(50)]
    >>> paired_interval(WORKS["label"], ["in"] * 50, ["out"] * 50, rows)
    Interval(difference=1.0, low=1.0, high=1.0)
    """
    if resamples < 1:
        raise BadRows(f"resamples={resamples!r}: an interval needs at least one draw. Leave it at 1,000.")
    gains = np.subtract(work.per_row(statements_a, rows), work.per_row(statements_b, rows))
    metric = work.metrics[work.headline]
    if not metric.resampled_whole:
        return mean_interval(gains, resamples=resamples, seed=seed)
    draws = np.random.default_rng(seed).integers(len(rows), size=(resamples, len(rows)))
    sides = (statements_a, statements_b)
    found = _difference(metric, *sides, rows, range(len(rows)))
    return _interval(found, np.array([_difference(metric, *sides, rows, places) for places in draws.tolist()]))


def mean_interval(gains: NDArray[np.float64], *, resamples: int = 2_000, seed: int = 0) -> Interval:
    """Return the mean of gains, one a row, and its bounds where rows are drawn with replacement.

    >>> mean_interval(np.array([0.5, 0.5, 0.5]))
    Interval(difference=0.5, low=0.5, high=0.5)
    """
    chance = np.random.default_rng(seed)
    at_once = max(2, DRAWN_AT_ONCE // len(gains) // 2 * 2)
    means = [
        gains[chance.integers(len(gains), size=(min(at_once, resamples - start), len(gains)))].mean(axis=1)
        for start in range(0, resamples, at_once)
    ]
    return _interval(float(gains.mean()), np.concatenate(means))


def loss_interval(
    above: Sequence[Likelihood], below: Sequence[Likelihood], *, resamples: int = 2_000, seed: int = 0
) -> Interval:
    """Return by how many nats a token one loss is above another, of the same replies, drawn with replacement in pairs.

    >>> some = [Likelihood(log_probability=-2.0, tokens=1), Likelihood(log_probability=-6.0, tokens=3)]
    >>> loss_interval(some, [Likelihood(log_probability=0.0, tokens=each.tokens) for each in some])
    Interval(difference=2.0, low=2.0, high=2.0)
    """
    nats = np.array([low.log_probability - high.log_probability for high, low in zip(above, below, strict=True)])
    tokens = np.array([each.tokens for each in above])
    draws = np.random.default_rng(seed).integers(len(nats), size=(resamples, len(nats)))
    return _interval(float(nats.sum() / tokens.sum()), nats[draws].sum(1) / tokens[draws].sum(1))


def _difference(
    metric: Metric, above: Sequence[str], below: Sequence[str], rows: Sequence[Row], places: Sequence[int]
) -> float:
    drawn = [rows[place] for place in places]
    figures = [metric.over([said[place] for place in places], drawn) for said in (above, below)]
    return figures[0] - figures[1]


def _interval(found: float, differences: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(differences, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(difference=found, low=float(low), high=float(high))
