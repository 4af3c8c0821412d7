r"""Off-policy evaluation: what another router's turns would have been worth, from turns that this one decided.

With ``w = pi(S|x) / mu(S|x)``, the chance of the logged set of seats under the router in question over that under the
one that decided, ``r`` the outcome, ``q`` a model of outcomes and ``V`` its mean under the router in question::

    IPS    (1/n) sum w r                             (Horvitz and Thompson 1952)
    SNIPS  sum w r / sum w                           (Swaminathan and Joachims 2015)
    DR     (1/n) sum [ V(x) + w (r - q(x, S)) ]      (Dudik, Langford and Li 2011)

Intervals are normal, from the variance of each estimate's influence values summed by session, for turns of one session
are not independent. Their width is the evidence's, not the weights' alone: where few turns carry most of the weight no
interval can be trusted, and the estimate is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from consilium.errors import ThinOverlap

Floats: TypeAlias = NDArray[np.float64]
Method: TypeAlias = Literal["ips", "snips", "dr"]

CONFIDENCE = 0.95
LEAST_EFFECTIVE = 30.0
"""Effective turns below which nothing is estimated."""
LEAST_SESSIONS = 10
"""Sessions below which nothing is estimated: bounds are of how these differ, and one session's do not."""
MOST_UNSUPPORTED = 0.05
"""Share of the router's choices that may lie where the logged one never went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """Scored turns as a router in question would have decided them; all arrays are [turns]."""

    outcomes: Floats
    behaviour: Floats
    """Chance of the logged seats under the router that decided; above 0."""
    target: Floats
    """Their chance under the router in question."""
    predicted: Floats
    """What the model of outcomes expects of the logged seats."""
    expected: Floats
    """What it expects of the seats of the router in question, on average."""
    unsupported: Floats
    """Share of that router's choices which the one that decided could not have made."""
    sessions: Sequence[str]
    """Whose turns they are."""

    @property
    def weights(self) -> Floats:
        """Importance weights."""
        return self.target / self.behaviour

    @property
    def effective(self) -> float:
        """So many turns of the router in question would tell as much: ``(sum w)^2 / sum w^2`` (Kish 1965)."""
        squares = float((self.weights**2).sum())
        return float(self.weights.sum()) ** 2 / squares if squares else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A router's worth, the mean outcome of its turns, and the bounds it lies between with a confidence of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    value: float
    influence: Floats
    """What each turn adds to the error, [turns]."""


def check_overlap(logged: Logged, name: str = "the router") -> None:
    """Refuse what cannot be estimated.

    Raises:
        ThinOverlap: too few turns, or too many of the router's choices lie where the logged one never went.
    """
    beyond = float(logged.unsupported.mean()) if len(logged.outcomes) else 0.0
    if beyond > MOST_UNSUPPORTED:
        raise ThinOverlap(
            f"{beyond:.0%} of what {name} would have seated could never have been seated by the router that decided; "
            f"at most {MOST_UNSUPPORTED:.0%} may. Log turns with exploration first, e.g. CONSILIUM_EXPLORATION=0.1."
        )
    if logged.effective < LEAST_EFFECTIVE:
        raise ThinOverlap(
            f"{len(logged.outcomes)} scored turns tell as much of {name} as {logged.effective:.1f} of its own would; "
            f"at least {LEAST_EFFECTIVE:.0f} are needed. Log more turns, or more exploration."
        )
    if (sessions := len(set(logged.sessions))) < LEAST_SESSIONS:
        raise ThinOverlap(
            f"{len(logged.outcomes)} scored turns are of {sessions} sessions, whose turns are alike; at least "
            f"{LEAST_SESSIONS} sessions are needed for bounds of {name}'s worth. Log more of them."
        )


def estimate(logged: Logged, method: Method) -> Estimate:
    """Return the router's worth; see `check_overlap` for when it means something.

    >>> ones = np.ones(4)
    >>> logged = Logged(outcomes=np.array([0.0, 1, 1, 0]), behaviour=ones / 2, target=ones / 2, predicted=ones / 2,
    ...                 expected=ones / 2, unsupported=ones * 0, sessions=list("abcd"))
    >>> estimate(logged, "snips").value
    0.5
    """
    found = _found(logged, method)
    return _interval(found, logged.sessions)


def difference(logged_a: Logged, logged_b: Logged, method: Method) -> Estimate:
    """Return by how much router B is above router A on the same turns, with the bounds of the paired difference."""
    a, b = _found(logged_a, method), _found(logged_b, method)
    return _interval(_Found(value=b.value - a.value, influence=b.influence - a.influence), logged_a.sessions)


def _found(logged: Logged, method: Method) -> _Found:
    weights, outcomes = logged.weights, logged.outcomes
    if method == "snips":
        value = float((weights * outcomes).sum() / weights.sum())
        return _Found(value=value, influence=weights * (outcomes - value) / weights.mean())
    terms = weights * outcomes
    if method == "dr":
        terms = logged.expected + weights * (outcomes - logged.predicted)
    return _Found(value=float(terms.mean()), influence=terms - terms.mean())


def _interval(found: _Found, sessions: Sequence[str]) -> Estimate:
    _, places = np.unique(np.asarray(sessions), return_inverse=True)
    sums = np.bincount(places, weights=found.influence)
    count = len(sums)
    variance = float((sums**2).sum()) * count / max(count - 1, 1) / len(found.influence) ** 2
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * variance**0.5
    return Estimate(value=found.value, low=found.value - half, high=found.value + half)
