"""The arithmetic of comparisons: a known effect lies in its interval, and where there is none none is shown."""

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.errors import BadRows
from consilium.evaluation.bootstrap import Interval
from consilium.evaluation.comparison import FEWEST_PAIRS, MINUS, Comparison, Gain

SIMULATIONS = 500


def simulated(chance: np.random.Generator, rows: int, effect: float) -> Comparison:
    """Return two arms that are right or wrong on the same rows, some of which are hard for both."""
    ease = chance.beta(2, 2, rows) * (1 - effect)
    above, below = chance.random(rows) < ease + effect, chance.random(rows) < ease
    return Comparison(arms=("above", "below"), scores=np.stack([above, below]).astype(float))


@pytest.mark.parametrize("rows", [60, 200])
@pytest.mark.parametrize("effect", [0.0, 0.1, 0.3])
def test_intervals_cover_the_true_effect(rows: int, effect: float) -> None:
    chance = np.random.default_rng(7)
    gains = [simulated(chance, rows, effect).gain("above", "below") for _ in range(SIMULATIONS)]
    covered = [g.interval.low <= effect <= g.interval.high for g in gains if g.interval]
    assert len(covered) == SIMULATIONS
    assert np.mean(covered) >= 0.93
    shown = np.mean([gain.shown == "shown to help" for gain in gains])
    if effect == 0:
        assert shown + np.mean([gain.shown == "shown to harm" for gain in gains]) <= 0.07
    if effect == 0.3 and rows == 200:
        assert shown >= 0.99


def scores(*rows: list[float]) -> NDArray[np.float64]:
    return np.array(rows, dtype=float)


def test_an_error_is_no_zero_and_leaves_its_pair_out() -> None:
    nan = float("nan")
    found = Comparison(arms=("a", "b"), scores=scores([1, 1, nan, 1], [0, nan, 0, 1]))
    assert (found.errors("a"), found.errors("b")) == (1, 1)
    mean = found.mean("a")
    assert mean is not None
    assert mean.difference == 1.0
    gain = found.gain("a", "b")
    assert gain.pairs == 2
    assert gain.interval is not None
    assert gain.interval.difference == 0.5
    assert gain.shown == "too few rows"


def test_an_arm_that_always_fails_has_no_figures() -> None:
    found = Comparison(arms=("a", "b"), scores=scores([float("nan")] * 2, [0, 1]))
    assert found.mean("a") is None
    assert found.gain("b", "a").interval is None
    assert found.gain("b", "a").sentence() == f"b {MINUS} a: no rows, too few rows"
    assert found.best(["a", "b"]) == "b"
    assert found.best(["a"]) is None


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (0.01, 0.2, "shown to help"),
        (-0.2, -0.01, "shown to harm"),
        (-0.01, 0.2, "not shown to help"),
        (0.0, 0.2, "not shown to help"),
    ],
)
def test_what_an_interval_shows(low: float, high: float, shown: str) -> None:
    gain = Gain(
        above="a", below="b", pairs=FEWEST_PAIRS, interval=Interval(difference=(low + high) / 2, low=low, high=high)
    )
    assert gain.shown == shown
    assert gain.sentence({"a": "council", "b": "base"}).startswith(f"council {MINUS} base: ")
    assert gain.sentence().endswith(shown)


def test_scores_have_to_fit_their_arms() -> None:
    with pytest.raises(BadRows, match="for 2 arms"):
        Comparison(arms=("a", "b"), scores=scores([1, 0]))
