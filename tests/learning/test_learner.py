"""The learner follows a swap of two members' quality, and costs next to nothing where nothing was swapped."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from consilium.learning.beliefs import Belief
from consilium.learning.learner import KEPT, Learner, Observation, after
from consilium.learning.overlap import possible_sets
from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Decision, Request
from consilium.routing.selection import Selection
from tests.support.personas import write_catalogue, write_persona

SPECIALISTS = [f"m{number}" for number in range(6)]
SWAPPED = ("m0", "m1")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    root: Path = tmp_path_factory.mktemp("personas")
    for name in ("base", *SPECIALISTS):
        write_persona(root, name, "desk" if name == "base" else "crew")
    write_catalogue(root, {"desk": ["base"], "crew": SPECIALISTS}, fallback="base")
    return Catalogue.load(root)


@dataclass
class World:
    """Requests of six kinds, each some member's own work; a static router that is right in 93 of 100."""

    catalogue: Catalogue
    seed: int
    learner: Learner = field(init=False)
    beliefs: dict[str, Belief] = field(default_factory=dict)
    regret: list[tuple[float, float]] = field(default_factory=list)
    """Of each turn: the learner's and the static router's."""

    def __post_init__(self) -> None:
        self.chance = np.random.default_rng(self.seed)
        self.learner = Learner(catalogue=self.catalogue, selection=Selection(seed=self.seed))
        self.names = list(self.catalogue.members)
        self.quality = self.chance.uniform(0.05, 0.25, (len(self.names), len(SPECIALISTS)))
        for kind, name in enumerate(SPECIALISTS):
            self.quality[self.names.index(name), kind] = self.chance.uniform(0.75, 0.95)

    def swap(self) -> None:
        """Give two members each other's adapters: they are other members by content, of whom nothing is known."""
        places = [self.names.index(name) for name in SWAPPED]
        self.quality[places] = self.quality[places[::-1]]
        for name in SWAPPED:
            self.beliefs.pop(self.catalogue.get(name).content_name, None)

    def static(self, kind: int) -> Decision:
        logits = self.chance.normal(0, 0.7, len(self.names))
        logits[self.names.index(SPECIALISTS[kind if self.chance.random() < 0.92 else self.chance.integers(6)])] += 5
        shares = np.exp(logits) / np.exp(logits).sum()
        scores = dict(zip(self.names, shares.tolist(), strict=True))
        return Selection().decide(scores, Request(message="", seats=1), self.catalogue, router="s", digest="d")

    def turn(self) -> Decision:
        kind = int(self.chance.integers(len(SPECIALISTS)))
        number = len(self.regret)
        static = self.static(kind)
        decision = self.learner.decide(static, Request(message=str(number), seats=1), self.beliefs, str(number))
        worth = self.quality[:, kind]
        seated, other = (self.names.index(each.seats[0].member) for each in (decision, static))
        self.regret.append((worth.max() - worth[seated], worth.max() - worth[other]))
        name = decision.seats[0].member
        seen = Observation(
            outcome=str(number),
            content_name=self.catalogue.get(name).content_name,
            features=np.array([static.scores[each] for each in self.names]),
            surprise=float(self.chance.random() < worth[seated]) - static.scores[name],
            weight=1.0,
        )
        self.beliefs[seen.content_name] = after(self.beliefs.get(seen.content_name), seen, self.learner.prior)
        return decision


def test_after_a_swap_the_regret_halves_and_before_it_costs_nothing(catalogue: Catalogue) -> None:
    before, after_swap = [], []
    for seed in range(6):
        world = World(catalogue, seed)
        for _ in range(300):
            world.turn()
        world.swap()
        for _ in range(300):
            world.turn()
        before.append(np.sum(world.regret[:300], 0))
        after_swap.append(np.mean(world.regret[-100:], 0))
    learner, static = np.mean(before, 0)
    assert learner <= 1.1 * static
    learner, static = np.mean(after_swap, 0)
    assert learner <= static / 2


def test_without_evidence_the_static_router_decides(catalogue: Catalogue) -> None:
    world = World(catalogue, 0)
    static = world.static(2)
    found = world.learner.decide(static, Request(message="", seats=1), {}, "digest")
    assert (found.seats, found.propensities, found.scores) == (static.seats, static.propensities, static.scores)
    assert (found.router, found.digest) == ("adaptive s", "digest")


def test_propensities_are_those_of_sets_and_the_static_choice_keeps_a_chance(catalogue: Catalogue) -> None:
    world = World(catalogue, 1)
    world.swap()
    explored = 0
    for _ in range(150):
        decision = world.turn()
        sets = possible_sets(decision.propensities)
        assert sum(sets.values()) == pytest.approx(1)
        assert frozenset(choice.member for choice in decision.seats) in sets
        explored += len(sets) > 1
    assert explored > 20
    scores = dict.fromkeys(world.names, 0.01) | {"m0": 1 - 0.01 * (len(world.names) - 1)}
    static = Selection().decide(scores, Request(message="", seats=1), catalogue, router="s", digest="d")
    found = world.learner.decide(static, Request(message="", seats=1), world.beliefs, "digest")
    assert found.propensities["m0"] >= KEPT * 0.999


def test_limits_hold_whatever_was_learned(catalogue: Catalogue) -> None:
    world = World(catalogue, 2)
    for _ in range(60):
        world.turn()
    static = world.static(0)
    for number in range(50):
        request = Request(message=str(number), seats=2, min_seats=2, must_sit=("m5",), must_not_sit=("m3",))
        decision = world.learner.decide(static, request, world.beliefs, "digest")
        seated = {choice.member for choice in decision.seats}
        assert len(seated) == 2
        assert "m5" in seated
        assert "m3" not in seated
        assert decision.propensities["m5"] == 1
