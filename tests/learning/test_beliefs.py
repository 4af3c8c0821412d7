"""Beliefs agree with the closed form, and evidence counts for more the more there is of it."""

import numpy as np
import pytest

from consilium.learning.beliefs import Belief, Prior, foresee

FEATURES = 5


def observed(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, surprises and weights."""
    chance = np.random.default_rng(seed)
    return chance.dirichlet(np.ones(FEATURES), count), chance.normal(0, 1, count), chance.uniform(0.1, 2, count)


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
    system = np.concatenate([rows * scale[:, None], np.eye(FEATURES) / prior.spread])
    mean = np.linalg.lstsq(system, np.concatenate([surprises * scale, np.zeros(FEATURES)]), rcond=None)[0]
    _, singular, directions = np.linalg.svd(system, full_matrices=False)
    request = np.random.default_rng(9).dirichlet(np.ones(FEATURES))
    found = foresee({"m": belief}, request, prior)
    assert found.mean[0] == pytest.approx(mean @ request, abs=1e-9)
    assert found.deviation[0] == pytest.approx(np.linalg.norm(directions @ request / singular), abs=1e-9)
    assert belief.count == count


def test_without_evidence_only_the_prior_is_left() -> None:
    request = np.array([0.6, 0.4, 0, 0, 0])
    found = foresee({"a": Belief.none(FEATURES), "b": Belief.none(FEATURES)}, request, Prior())
    assert found.mean.tolist() == [0, 0]
    assert found.deviation == pytest.approx([0.3 * np.linalg.norm(request)] * 2)
    assert found.evidence == 0


def test_evidence_counts_requests_like_this_one() -> None:
    prior, own, other = Prior(memory=1e12), np.eye(FEATURES)[0], np.eye(FEATURES)[1]
    belief = Belief.none(FEATURES)
    for _ in range(7):
        belief = belief.after(own, 0.5, 1.0, prior)
    assert foresee({"a": belief}, own, prior).evidence == pytest.approx(7)
    assert foresee({"a": belief}, other, prior).evidence == 0


def test_old_observations_are_forgotten() -> None:
    prior, request, belief = Prior(memory=20), np.eye(FEATURES)[0], Belief.none(FEATURES)
    for surprise in [-1.0] * 200 + [1.0] * 60:
        belief = belief.after(request, surprise, 1.0, prior)
    assert foresee({"a": belief}, request, prior).mean[0] > 0.8
