r"""Beliefs: a contextual posterior over (what the router thinks of a request, member).

The features ``x`` of a request are the static router's scores, one for each member, which sum to 1. An outcome of
member ``m`` is expected to be ``level x_m``; what that gets wrong is linear in ``x``::

    r = level x_m + delta_m . x + noise,    delta_m ~ N(0, spread^2 I),    noise ~ N(0, sigma^2 / weight)

so that ``delta_m[k]`` says how much better member ``m`` is than expected at what the router takes for ``k``'s work.
What is kept of a member is::

    E_m = sum_t gamma^(n-t) w_t x_t x_t' / sigma^2,    b_m = sum_t gamma^(n-t) w_t x_t (r_t - x_tm) / sigma^2

of which the rest follows in closed form. ``level``, the outcomes that the router's scores are worth over all members,
is ``sum w r / sum w x_m``, both sums being in E and b because features sum to 1. The posterior of ``delta_m`` is
normal, with precision ``I / spread^2 + E_m`` and mean ``precision^-1 (b_m + (1 - level) E_m e_m)`` (Bishop 2006, eq.
3.50 and 3.51; forgetting as in Russac et al., arXiv 1909.09146, over the member's own observations).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What is believed before there is any evidence, and how fast evidence grows old."""

    spread: float = 0.5
    """Standard deviation of what the static router gets wrong of a member."""
    noise: float = 0.4
    """Standard deviation of an outcome around its mean."""
    memory: float = 60.0
    """Observations of a member that count: ``1 / (1 - gamma)``."""

    @property
    def gamma(self) -> float:
        """What an observation is worth one observation of the same member later."""
        return 1 - 1 / self.memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """Evidence about one member."""

    evidence: Floats
    """E, [members, members]."""
    moment: Floats
    """b, [members]."""
    count: int
    """Observations so far, forgotten ones too."""

    @classmethod
    def none(cls, features: int) -> Self:
        """Return what is believed of a member that was never seen."""
        return cls(evidence=np.zeros((features, features)), moment=np.zeros(features), count=0)

    def after(self, features: Floats, surprise: float, weight: float, prior: Prior) -> Self:
        """Return the belief after one more observation.

        Args:
            features: x, [members].
            surprise: the outcome less the member's score.
            weight: of the observation.
            prior: noise and memory.
        """
        worth = weight / prior.noise**2
        return replace(
            self,
            evidence=prior.gamma * self.evidence + worth * np.outer(features, features),
            moment=prior.gamma * self.moment + worth * surprise * features,
            count=self.count + 1,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """What is expected of each member on one request; arrays are [members]."""

    level: float
    """What the static router's scores are worth: an outcome for a score of 1."""
    mean: Floats
    """Of what comes on top of level times score."""
    deviation: Floats
    evidence: float
    """Observations on requests like this one, of all members together."""


def foresee(beliefs: Mapping[str, Belief], features: Floats, prior: Prior) -> Foresight:
    """Return the posterior of every member's correction at ``features``; the mapping is in the features' order."""
    evidence = np.stack([belief.evidence for belief in beliefs.values()])
    moments = np.stack([belief.moment for belief in beliefs.values()])
    precision = evidence + np.eye(len(features)) / prior.spread**2
    level = _level(evidence, moments)
    own = np.einsum("mim->mi", evidence)
    reach = np.linalg.solve(precision, np.broadcast_to(features[:, None], (len(moments), len(features), 1)))[..., 0]
    seen = np.einsum("i,mij,j->m", features, evidence, features) * prior.noise**2
    return Foresight(
        level=level,
        mean=(reach * (moments + (1 - level) * own)).sum(-1),
        deviation=np.sqrt(reach @ features),
        evidence=float(seen.sum() / (features @ features) ** 2),
    )


def _level(evidence: Floats, moments: Floats) -> float:
    """Return the outcomes that the scores were worth so far; 1 where nothing is known."""
    scores = float(np.einsum("mim->", evidence))
    return max(0.0, 1 + float(moments.sum()) / scores) if scores else 1.0
