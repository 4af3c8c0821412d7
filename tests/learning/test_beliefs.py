"""Beliefs agree with the closed form, and evidence counts for more the more there is of it."""

import numpy as np
import pytest

from consilium.learning.beliefs import Belief, Prior, foresee

FEATURES = 5


def observed(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, surprises and weights."""
    chance = np.random.default_rng(seed)
    return chance.dirichlet(np.ones(FEATURES), count), chance.normal(0, 1, count), chance.uniform(0.1, 2, count)


def crew(belief: Belief) -> dict[str, Belief]:
    """Return the belief about the first of several members, of whom the others were never seen."""
    return {"m": belief, **{str(number): Belief.none(FEATURES) for number in range(1, FEATURES)}}


@pytest.mark.parametrize("memory", [5.0, 60.0, 1e12])
@pytest.mark.parametrize("count", [1, 30, 300])
def test_the_posterior_is_the_closed_form(count: int, memory: float) -> None:
    prior = Prior(spread=0.3, noise=0.4, memory=memory)
    rows, surprises, weights = observed(count, count)
    belief = Belief.none(FEATURES)
    for row, surprise, weight in zip(rows, surprises, weights, strict=True):
        belief = belief.after(row, surprise, weight, prior)
    # least squares on rows scaled to unit noise, with the prior as further rows
    scale = np.sqrt(weights * prior.gamma ** np.arange(count)[::-1]) / prior.noise
    outcomes = surprises + rows[:, 0]
    level = max(0.0, float((scale**2 * outcomes).sum() / (scale**2 * rows[:, 0]).sum()))
    system = np.concatenate([rows * scale[:, None], np.eye(FEATURES) / prior.spread])
    due = np.concatenate([(outcomes - level * rows[:, 0]) * scale, np.zeros(FEATURES)])
    mean = np.linalg.lstsq(system, due, rcond=None)[0]
    _, singular, directions = np.linalg.svd(system, full_matrices=False)
    request = np.random.default_rng(9).dirichlet(np.ones(FEATURES))
    found = foresee(crew(belief), request, prior)
    assert found.level == pytest.approx(level, abs=1e-9)
    assert found.mean[0] == pytest.approx(mean @ request, abs=1e-9)
    assert found.deviation[0] == pytest.approx(np.linalg.norm(directions @ request / singular), abs=1e-9)
    assert belief.count == count


def test_without_evidence_only_the_prior_is_left() -> None:
    request = np.array([0.6, 0.4, 0, 0, 0])
    found = foresee(crew(Belief.none(FEATURES)), request, Prior(spread=0.3))
    assert found.level == 1
    assert found.mean.tolist() == [0] * FEATURES
    assert found.deviation == pytest.approx([0.3 * np.linalg.norm(request)] * FEATURES)
    assert found.evidence == 0


def test_evidence_counts_requests_like_this_one() -> None:
    prior, own, other = Prior(memory=1e12), np.eye(FEATURES)[0], np.eye(FEATURES)[1]
    belief = Belief.none(FEATURES)
    for _ in range(7):
        belief = belief.after(own, 0.5, 1.0, prior)
    assert foresee(crew(belief), own, prior).evidence == pytest.approx(7)
    assert foresee(crew(belief), other, prior).evidence == 0


def test_old_observations_are_forgotten() -> None:
    prior, request, belief = Prior(memory=20), np.eye(FEATURES)[0], Belief.none(FEATURES)
    for surprise in [-1.0] * 200 + [0.0] * 60:
        belief = belief.after(request, surprise, 1.0, prior)
    found = foresee(crew(belief), request, prior)
    assert found.level + found.mean[0] > 0.9
