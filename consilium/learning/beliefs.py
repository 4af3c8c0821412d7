r"""Beliefs: a contextual posterior over (what the router thinks of a request, member).

The features ``x`` of a request are the static router's scores, one for each member, which sum to 1. An outcome of
member ``m`` is linear in them::

    r = (level e_m + usual_m + delta_m) . x + noise,    noise ~ N(0, sigma^2 / weight)
    usual_m ~ N(0, habit^2 I),    delta_m ~ N(0, spread^2 I)

``level`` says what the router's scores are worth; ``usual_m[k]`` how much better ``m`` has been, under whatever
adapter, than that at what the router takes for ``k``'s work; ``delta_m[k]`` how much better it is now, with the adapter
that it has. Kept is, with a short memory for each adapter of a member, and with a long one for the member::

    E = sum_t gamma^(n-t) w_t x_t x_t' / sigma^2,    b = sum_t gamma^(n-t) w_t x_t r_t / sigma^2

of which the rest follows in closed form. ``level`` is ``sum w r / sum w x_m`` over the long memories of all members,
with the evidence of a few outcomes for 1; both sums are in E and b because features sum to 1. The posteriors are normal
(Bishop 2006, eq. 3.50 and 3.51; forgetting as in Russac et al., arXiv 1909.09146, over observations of the same). Of
``usual`` the precision is ``P = I / habit^2 + E`` and the mean ``P^-1 (b - level E e_m)``, by the long memory; of
``delta``, given that mean, ``P = I / spread^2 + E`` and ``P^-1 (b - E (level e_m + usual))``, by the short one. A
change is believed as far as it stands out of its own noise, whose standard error is ``(x' P^-1 E P^-1 x)^(1/2)``: by so
much it is drawn towards 0 (soft thresholding; Donoho 1995). Mostly nothing has changed, and acting on noise costs.
What was seen of an adapter goes with it: a member that gets one which others had begins with their short memory of it.
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

    habit: float = 0.15
    """Standard deviation of what members are used to earn, around what the static router's scores are worth."""
    spread: float = 0.5
    """Standard deviation of what a change of adapter or of its work does."""
    noise: float = 0.4
    """Standard deviation of an outcome around its mean."""
    level_worth: float = 10.0
    """Observations that the belief is worth that the static router's scores are outcomes."""
    memory: float = 40.0
    """Observations of a member with one adapter that count: ``1 / (1 - gamma)``."""
    long_memory: float = 600.0
    """The same of a member under all the adapters that it ever had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """Evidence about one member, with one adapter or any."""

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

    def after(self, features: Floats, outcome: float, weight: float, prior: Prior, *, memory: float) -> Self:
        """Return the belief after one more observation.

        Args:
            features: x, [members].
            outcome: r.
            weight: of the observation.
            prior: its noise.
            memory: observations that count; an older one is worth ``1 - 1 / memory`` of the one after it.
        """
        worth, gamma = weight / prior.noise**2, 1 - 1 / memory
        return replace(
            self,
            evidence=gamma * self.evidence + worth * np.outer(features, features),
            moment=gamma * self.moment + worth * outcome * features,
            count=self.count + 1,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """What is expected of each member on one request; arrays are [members]."""

    level: float
    """What the static router's scores are worth: an outcome for a score of 1."""
    usual: Floats
    """Of what comes on top of level times score: what the member has long been used to earn."""
    mean: Floats
    """The same by what it earns now, under its present adapter."""
    deviation: Floats
    evidence: float
    """Observations on requests like this one, of all members together."""


def foresee(
    beliefs: Mapping[str, Belief], features: Floats, prior: Prior, histories: Mapping[str, Belief] | None = None
) -> Foresight:
    """Return the posterior of every member's correction at ``features``.

    Args:
        beliefs: about every member with its present adapter, in the features' order.
        features: x, [members].
        prior: what is believed without evidence.
        histories: about the members themselves; None where the two are not told apart, so that ``usual`` is 0.
    """
    evidence, moments = _stacked(beliefs)
    past_evidence, past_moments = (evidence, moments) if histories is None else _stacked(histories)
    level, without = _level(past_evidence, past_moments, prior), np.eye(len(features)) / prior.spread**2
    usual = np.zeros_like(moments)
    if histories is not None:
        past_due = past_moments - level * np.einsum("mim->mi", past_evidence)
        usual = np.linalg.solve(past_evidence + np.eye(len(features)) / prior.habit**2, past_due[..., None])[..., 0]
    due = moments - np.einsum("mij,mj->mi", evidence, level * np.eye(len(features)) + usual)
    reach = np.linalg.solve(evidence + without, np.broadcast_to(features[:, None], (*moments.shape, 1)))[..., 0]
    seen = np.einsum("i,mij,j->m", features, past_evidence, features) * prior.noise**2
    change = (reach * due).sum(-1)
    noise = np.sqrt(np.einsum("mi,mij,mj->m", reach, evidence, reach))
    if histories is not None:
        change = np.sign(change) * np.maximum(0.0, np.abs(change) - noise)
    return Foresight(
        level=level,
        usual=usual @ features,
        mean=usual @ features + change,
        deviation=np.sqrt(reach @ features),
        evidence=float(seen.sum() / (features @ features) ** 2),
    )


def _stacked(beliefs: Mapping[str, Belief]) -> tuple[Floats, Floats]:
    return (
        np.stack([belief.evidence for belief in beliefs.values()]),
        np.stack([belief.moment for belief in beliefs.values()]),
    )


def _level(evidence: Floats, moments: Floats, prior: Prior) -> float:
    """Return the outcomes that the scores were worth so far; 1 where nothing is known."""
    known = prior.level_worth / prior.noise**2
    return max(0.0, float(moments.sum() + known) / float(np.einsum("mim->", evidence) + known))
