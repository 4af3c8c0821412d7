"""Off-policy estimates: unbiased, with intervals that cover, and none where the overlap is too thin."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from consilium.errors import ThinOverlap
from consilium.learning.off_policy import Logged, Method, check_overlap, difference, estimate

MEMBERS, TURNS, LOGS = 4, 400, 200


@dataclass(frozen=True)
class World:
    """Contexts of few kinds; each member has its chance of success at each kind."""

    success: np.ndarray  # [kinds, members]
    behaviour: np.ndarray  # [kinds, members]
    target: np.ndarray  # [kinds, members]

    @property
    def worth(self) -> float:
        """What the target is worth."""
        return float((self.success * self.target).sum(1).mean())

    def log(self, seed: int, *, model: float = 0.1, per_session: int = 1) -> Logged:
        """Draw a log; the model of outcomes is wrong by ``model`` everywhere, and more by chance."""
        chance = np.random.default_rng(seed)
        # of one session all turns are of one kind, so that they are not independent
        kinds = np.repeat(chance.integers(len(self.success), size=TURNS // per_session), per_session)
        seated = np.array([chance.choice(MEMBERS, p=self.behaviour[kind]) for kind in kinds])
        believed = self.success + model + chance.normal(0, 0.05, self.success.shape)
        return Logged(
            outcomes=(chance.random(TURNS) < self.success[kinds, seated]).astype(float),
            behaviour=self.behaviour[kinds, seated],
            target=self.target[kinds, seated],
            predicted=believed[kinds, seated],
            expected=(believed * self.target).sum(1)[kinds],
            unsupported=np.zeros(TURNS),
            sessions=[str(turn // per_session) for turn in range(TURNS)],
        )


def world(seed: int, exploration: float = 0.3) -> World:
    chance = np.random.default_rng(seed)
    best, other = np.eye(MEMBERS)[chance.integers(MEMBERS, size=(2, 5))]
    return World(
        success=chance.uniform(0.1, 0.9, (5, MEMBERS)),
        behaviour=(1 - exploration) * best + exploration / MEMBERS,
        target=0.9 * other + 0.1 / MEMBERS,
    )


@pytest.mark.parametrize("per_session", [1, 4])
@pytest.mark.parametrize("method", ["ips", "snips", "dr"])
def test_intervals_cover_the_true_value(method: Method, per_session: int) -> None:
    covered = 0
    for seed in range(LOGS):
        true = world(seed)
        found = estimate(true.log(seed, per_session=per_session), method)
        covered += found.low <= true.worth <= found.high
    assert covered / LOGS >= 0.9


def test_intervals_of_differences_cover_too() -> None:
    covered = 0
    for seed in range(LOGS):
        true = world(seed)
        log = true.log(seed)
        own = replace(true, target=true.behaviour)
        found = difference(own.log(seed), log, "dr")
        covered += found.low <= true.worth - own.worth <= found.high
    assert covered / LOGS >= 0.9


def test_estimates_are_not_biased_however_wrong_the_model_is() -> None:
    true = world(3)
    for method in ("ips", "snips", "dr"):
        values = [estimate(true.log(seed, model=0.5), method).value for seed in range(LOGS)]
        assert np.mean(values) == pytest.approx(true.worth, abs=3 * np.std(values) / LOGS**0.5 + 0.005)


def test_a_good_model_makes_the_interval_narrow() -> None:
    def width(method: Method) -> float:
        found = [estimate(world(seed).log(seed, model=0.0), method) for seed in range(30)]
        return float(np.mean([each.high - each.low for each in found]))

    assert width("dr") < 0.95 * width("ips")


def test_turns_of_one_session_count_as_one() -> None:
    log = world(2).log(2)
    doubled = Logged(
        **{
            name: np.repeat(getattr(log, name), 2)
            for name in ("outcomes", "behaviour", "target", "predicted", "expected", "unsupported")
        },
        sessions=list(np.repeat(log.sessions, 2)),
    )
    once, twice = estimate(log, "dr"), estimate(doubled, "dr")
    assert (once.low, once.high) == pytest.approx((twice.low, twice.high))


def test_thin_overlap_is_refused_in_words() -> None:
    log = world(4).log(4)
    check_overlap(log)
    with pytest.raises(ThinOverlap, match=r"40% of what 'centroid' would have seated"):
        check_overlap(replace(log, unsupported=np.full(TURNS, 0.4)), "'centroid'")
    few = np.where(np.arange(TURNS) < 10, log.target, 0)
    with pytest.raises(ThinOverlap, match=r"400 scored turns tell as much"):
        check_overlap(replace(log, target=few))
    with pytest.raises(ThinOverlap, match="400 scored turns are of 3 sessions"):
        check_overlap(replace(log, sessions=[str(number % 3) for number in range(TURNS)]))
    nothing = {name: np.zeros(0) for name in ("outcomes", "behaviour", "target", "predicted", "expected")}
    empty = Logged(**nothing, unsupported=np.zeros(0), sessions=[])
    with pytest.raises(ThinOverlap, match="0 scored turns"):
        check_overlap(empty)
