"""Arms beside each other: what each earned on the same rows, and how surely one earns more than another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from consilium.errors import BadRows
from consilium.evaluation.bootstrap import Interval, mean_interval

FEWEST_PAIRS = 20
"""With fewer rows the bounds of an interval say too little."""
MINUS, TIMES = "\u2212", "\u00d7"

Shown: TypeAlias = Literal["shown to help", "shown to harm", "not shown to help", "too few rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """How far one arm is above another."""

    above: str
    below: str
    pairs: int
    """Rows on which neither failed."""
    interval: Interval | None
    """In shares of 1; None where there are no such rows."""

    @property
    def shown(self) -> Shown:
        """What the interval shows: with a confidence of 95 %, for this comparison alone."""
        if self.interval is None or self.pairs < FEWEST_PAIRS:
            return "too few rows"
        if self.interval.low > 0:
            return "shown to help"
        return "shown to harm" if self.interval.high < 0 else "not shown to help"

    def sentence(self, names: Mapping[str, str] | None = None) -> str:
        """Return the verdict in words, in points of 100.

        Args:
            names: what an arm is called, where that is not its name.

        >>> gain = Gain(above="a", below="b", pairs=90, interval=Interval(difference=0.018, low=-0.004, high=0.04))
        >>> gain.sentence().replace(MINUS, "-")
        'a - b: +1.8 [-0.4, 4.0], not shown to help'
        """
        above, below = ((names or {}).get(arm, arm) for arm in (self.above, self.below))
        return f"{above} {MINUS} {below}: {points(self.interval)}, {self.shown}"


def points(interval: Interval | None) -> str:
    """Return a difference in points of 100 with its bounds.

    >>> points(Interval(difference=0.018, low=0.004, high=0.04))
    '+1.8 [0.4, 4.0]'
    """
    if interval is None:
        return "no rows"
    low, high = 100 * interval.low, 100 * interval.high
    return f"{100 * interval.difference:+.1f} [{low:.1f}, {high:.1f}]".replace("-", MINUS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What arms earned on the same rows, each score a share of 1.

    >>> found = Comparison(arms=("a", "b"), scores=np.array([[1.0, 1.0, np.nan], [0.0, 1.0, 1.0]]))
    >>> found.errors("a"), found.mean("a").difference, found.gain("a", "b").interval.difference
    (1, 1.0, 0.5)
    """

    arms: tuple[str, ...]
    scores: NDArray[np.float64]
    """[arms, rows]; not a number where the arm, its metric or its judge failed: an error is never a zero."""

    def __post_init__(self) -> None:
        if self.scores.ndim != 2 or len(self.scores) != len(self.arms) or not self.scores.shape[1]:
            raise BadRows(f"scores of shape {self.scores.shape} for {len(self.arms)} arms: give each arm each row's.")

    def of(self, arm: str) -> NDArray[np.float64]:
        """Return an arm's scores, [rows]."""
        scores: NDArray[np.float64] = self.scores[self.arms.index(arm)]
        return scores

    def errors(self, arm: str) -> int:
        """Return on how many rows there is no score."""
        return int(np.isnan(self.of(arm)).sum())

    def mean(self, arm: str) -> Interval | None:
        """Return the arm's mean over the rows without an error, with its bounds; None where there are none."""
        return _interval(self.of(arm))

    def gain(self, above: str, below: str) -> Gain:
        """Return how far an arm is above another, on the rows that neither failed on (paired bootstrap)."""
        gains = self.of(above) - self.of(below)
        pairs = int((~np.isnan(gains)).sum())
        return Gain(above=above, below=below, pairs=pairs, interval=_interval(gains))

    def averages(self) -> dict[str, float]:
        """Return the mean of each arm that has a score."""
        known = {arm: scores[~np.isnan(scores)] for arm, scores in zip(self.arms, self.scores, strict=True)}
        return {arm: float(scores.mean()) for arm, scores in known.items() if len(scores)}

    def best(self, among: Sequence[str]) -> str | None:
        """Return the arm of the highest mean, of equals the first; None where none of them has a score."""
        means = self.averages()
        return max((arm for arm in among if arm in means), key=lambda arm: means[arm], default=None)


def _interval(values: NDArray[np.float64]) -> Interval | None:
    known = values[~np.isnan(values)]
    return mean_interval(known) if len(known) else None
