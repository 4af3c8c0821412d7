"""How good a router's decisions are: right, calibrated, and surely better than another's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilium.errors import BadRows
from consilium.evaluation.bootstrap import Interval, mean_interval
from consilium.evaluation.seating import Worth

BINS = 10
"""Of certainty, for the calibration error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """A router's scores for requests whose right member is known."""

    members: tuple[str, ...]
    scores: NDArray[np.float64]
    """[requests, members]; rows sum to 1."""
    right: NDArray[np.int64]
    """The number of the right member of each request."""
    seated: NDArray[np.int64] | None = None
    """The number of the member that sits first for each; without it the likeliest does."""

    def __post_init__(self) -> None:
        if not len(self.right) or self.scores.shape != (len(self.right), len(self.members)):
            raise BadRows(f"{len(self.right)} requests, scores {self.scores.shape}: give each a score a member.")

    @property
    def hits(self) -> NDArray[np.bool_]:
        """Whether the likeliest member was the right one, [requests]."""
        hits: NDArray[np.bool_] = self.scores.argmax(1) == self.right
        return hits

    @property
    def first(self) -> NDArray[np.int64]:
        """The number of the member that sits first, [requests]."""
        first: NDArray[np.int64] = self.scores.argmax(1) if self.seated is None else self.seated
        return first

    def figures(self) -> dict[str, float]:
        """Return shares of 1: how often the likeliest is right, how often who sits first is, and calibration.

        ``mean_recall``: how often the likeliest is right, as a mean over members. ``ece``: expected calibration error,
        how far certainty and truth lie apart in ten bins of certainty (Guo et al., arXiv 1706.04599, eq. 3). ``brier``:
        mean squared distance of the scores from the truth, from 0 to 2.
        """
        recalls = list(self.recalls().values())
        truth = np.eye(len(self.members))[self.right]
        return {
            "top1": float(self.hits.mean()),
            "seated": float((self.first == self.right).mean()),
            "mean_recall": float(np.mean(recalls)),
            "ece": self._calibration_error(),
            "brier": float(((self.scores - truth) ** 2).sum(1).mean()),
        }

    def recalls(self) -> dict[str, float]:
        """Return how often each member's requests find it, of those members that have any."""
        return {
            name: float(self.hits[self.right == number].mean())
            for number, name in enumerate(self.members)
            if (self.right == number).any()
        }

    def narrowed(self) -> "Routed":
        """Return the same where nobody may sit but the members for whom some of the requests are."""
        allowed = np.unique(self.right)
        kept = self.scores[:, allowed]
        total = kept.sum(1, keepdims=True)
        shares = np.divide(kept, total, out=np.full_like(kept, 1 / len(allowed)), where=total > 0)
        names = tuple(self.members[number] for number in allowed)
        return Routed(members=names, scores=shares, right=np.searchsorted(allowed, self.right))

    def reliability(self) -> list[tuple[float, float, int]]:
        """Return mean certainty, share of right ones and count for each bin of certainty that holds any."""
        sure = self.scores.max(1)
        bins = np.minimum((sure * BINS).astype(int), BINS - 1)
        return [
            (float(sure[bins == number].mean()), float(self.hits[bins == number].mean()), int((bins == number).sum()))
            for number in np.unique(bins)
        ]

    def _calibration_error(self) -> float:
        return sum(count * abs(sure - right) for sure, right, count in self.reliability()) / len(self.right)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What one router did when it was tried."""

    conditions: Mapping[str, Routed]
    """Its decisions on each kind of request."""
    worth: tuple[Worth, ...] = ()
    """What its decisions on the members' own work were worth, where members answered."""


def gain(above: Routed, below: Routed) -> Interval:
    """Return how much more often the first router is right than the second, on the same requests (paired bootstrap).

    Raises:
        BadRows: the requests are not the same.
    """
    if not np.array_equal(above.right, below.right):
        raise BadRows("the two routers were tried with different requests. Try both with the same.")
    return mean_interval(above.hits.astype(float) - below.hits)


def pooled(parts: Sequence[Routed]) -> Routed:
    """Return several conditions as one."""
    return Routed(
        members=parts[0].members,
        scores=np.concatenate([part.scores for part in parts]),
        right=np.concatenate([part.right for part in parts]),
        seated=np.concatenate([part.first for part in parts]),
    )


def usage(parts: Mapping[str, Routed]) -> NDArray[np.float64]:
    """Return the mean score of each member for each kind of request, [kinds, members]."""
    means: NDArray[np.float64] = np.stack([part.scores.mean(0) for part in parts.values()])
    return means
