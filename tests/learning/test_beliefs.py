"""Beliefs agree with the closed form, and evidence counts for more the more there is of it."""

import numpy as np
import pytest

from consilium.learning.beliefs import Belief, Prior, foresee

FEATURES = 5


def observed(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, outcomes and weights."""
    chance = np.random.default_rng(seed)
    return chance.dirichlet(np.ones(FEATURES), count), chance.uniform(0, 1, count), chance.uniform(0.1, 2, count)


def crew(belief: Belief) -> dict[str, Belief]:
    """Return the belief about the first of several members, of whom the others were never seen."""
    return {"m": belief, **{str(number): Belief.none(FEATURES) for number in range(1, FEATURES)}}


def learned(rows: np.ndarray, outcomes: np.ndarray, weights: np.ndarray, prior: Prior, memory: float) -> Belief:
    belief = Belief.none(FEATURES)
    for row, outcome, weight in zip(rows, outcomes, weights, strict=True):
        belief = belief.after(row, outcome, weight, prior, memory=memory)
    return belief


def least_squares(
    rows: np.ndarray, due: np.ndarray, scale: np.ndarray, spread: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ridge solution by rows scaled to unit noise and the prior as further rows, and their decomposition."""
    system = np.concatenate([rows * scale[:, None], np.eye(FEATURES) / spread])
    solution = np.linalg.lstsq(system, np.concatenate([due * scale, np.zeros(FEATURES)]), rcond=None)[0]
    _, singular, directions = np.linalg.svd(system, full_matrices=False)
    return solution, singular, directions


@pytest.mark.parametrize("memory", [5.0, 60.0, 1e12])
@pytest.mark.parametrize("count", [1, 30, 300])
def test_the_posterior_is_the_closed_form(count: int, memory: float) -> None:
    prior = Prior(spread=0.3, habit=0.2, memory=memory, long_memory=10 * memory)
    rows, outcomes, weights = observed(count, count)
    short, long = (
        np.sqrt(weights * (1 - 1 / each) ** np.arange(count)[::-1]) / prior.noise
        for each in (prior.memory, prior.long_memory)
    )
    known = prior.level_worth / prior.noise**2
    level = ((long**2 * outcomes).sum() + known) / ((long**2 * rows[:, 0]).sum() + known)
    usual, _, _ = least_squares(rows, outcomes - level * rows[:, 0], long, prior.habit)
    due = outcomes - level * rows[:, 0] - rows @ usual
    change, singular, directions = least_squares(rows, due, short, prior.spread)
    request = np.random.default_rng(9).dirichlet(np.ones(FEATURES))
    hat = (directions.T / singular**2) @ (directions @ request)  # what each unit of evidence moves the estimate by
    noise = np.linalg.norm(short * (rows @ hat))
    shrunk = np.sign(change @ request) * max(0.0, abs(change @ request) - noise)
    found = foresee(
        crew(learned(rows, outcomes, weights, prior, prior.memory)),
        request,
        prior,
        crew(learned(rows, outcomes, weights, prior, prior.long_memory)),
    )
    assert found.level == pytest.approx(level, abs=1e-9)
    assert found.usual[0] == pytest.approx(usual @ request, abs=1e-9)
    assert found.mean[0] == pytest.approx(usual @ request + shrunk, abs=1e-9)
    assert found.deviation[0] == pytest.approx(np.linalg.norm(directions @ request / singular), abs=1e-9)


def test_without_evidence_only_the_prior_is_left() -> None:
    request, nobody = np.array([0.6, 0.4, 0, 0, 0]), crew(Belief.none(FEATURES))
    found = foresee(nobody, request, Prior(spread=0.3), nobody)
    assert found.level == 1
    assert found.mean.tolist() == found.usual.tolist() == [0] * FEATURES
    assert found.deviation == pytest.approx([0.3 * np.linalg.norm(request)] * FEATURES)
    assert found.evidence == 0


def test_a_small_change_is_taken_for_noise_and_a_large_one_is_believed() -> None:
    prior, request = Prior(), np.eye(FEATURES)[0]
    history = learned(np.tile(request, (200, 1)), np.full(200, 0.8), np.ones(200), prior, prior.long_memory)
    means = [
        foresee(
            crew(learned(np.tile(request, (20, 1)), np.full(20, now), np.ones(20), prior, prior.memory)),
            request,
            prior,
            crew(history),
        ).mean[0]
        for now in (0.8, 0.75, 0.2)
    ]
    usual = foresee(crew(Belief.none(FEATURES)), request, prior, crew(history)).usual[0]
    assert means[:2] == pytest.approx([usual, usual])
    assert means[2] < usual - 0.4


def test_evidence_counts_requests_like_this_one() -> None:
    prior, own, other = Prior(), np.eye(FEATURES)[0], np.eye(FEATURES)[1]
    belief = Belief.none(FEATURES)
    for _ in range(7):
        belief = belief.after(own, 0.5, 1.0, prior, memory=1e12)
    assert foresee(crew(belief), own, prior).evidence == pytest.approx(7)
    assert foresee(crew(belief), other, prior).evidence == 0


def test_old_observations_are_forgotten() -> None:
    prior, request = Prior(), np.eye(FEATURES)[0]
    outcomes = np.array([0.0] * 200 + [1.0] * 60)
    belief = learned(np.tile(request, (260, 1)), outcomes, np.ones(260), prior, 20)
    found = foresee(crew(belief), request, prior)
    assert found.level + found.mean[0] > 0.9
