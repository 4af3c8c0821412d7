"""The learner follows a swap of two members' adapters, and costs next to nothing where nothing was swapped."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from consilium.learning.beliefs import Belief
from consilium.learning.learner import KEPT, Learner, Observation, after, known_of
from consilium.learning.overlap import possible_sets
from consilium.members.catalogue import ADAPTER_FOLDER, Catalogue
from consilium.routing.protocol import Decision, Request
from consilium.routing.selection import Selection
from tests.support.adapters import header_and_body, weights_bytes, write_adapter
from tests.support.personas import TRAINING, write_catalogue, write_persona

SPECIALISTS = [f"m{number}" for number in range(6)]
SWAPPED = ("m0", "m1")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    root: Path = tmp_path_factory.mktemp("personas")
    write_persona(root, "base", "desk")
    header, body = header_and_body()
    for number, name in enumerate(SPECIALISTS):
        values = np.frombuffer(body, "<f4") + number  # adapters that differ
        pin = write_adapter(root / name / ADAPTER_FOLDER, weights=weights_bytes(header, values.tobytes()))
        write_persona(root, name, "crew", training=TRAINING, adapter=pin.model_dump())
    write_catalogue(root, {"desk": ["base"], "crew": SPECIALISTS}, fallback="base")
    return Catalogue.load(root)


@dataclass
class World:
    """Requests of six kinds, each some member's own work; a static router whose scores are calibrated."""

    catalogue: Catalogue
    seed: int
    own: float = 0.85
    """What a member's outcomes average at its own work; at others' it is a seventh of that or so."""
    learner: Learner = field(init=False)
    beliefs: dict[str, Belief] = field(default_factory=dict)
    regret: list[tuple[float, float]] = field(default_factory=list)
    """Of each turn: the learner's and the static router's."""

    def __post_init__(self) -> None:
        self.chance = np.random.default_rng(self.seed)
        self.learner = Learner(catalogue=self.catalogue, selection=Selection(seed=self.seed))
        self.names = list(self.catalogue.members)
        self.quality = self.chance.uniform(0.05, 0.2, (len(self.names), len(SPECIALISTS)))
        for kind, name in enumerate(SPECIALISTS):
            self.quality[self.names.index(name), kind] = self.chance.uniform(self.own - 0.05, self.own + 0.05)

    def swap(self) -> None:
        """Give two members each other's adapters."""
        places = [self.names.index(name) for name in SWAPPED]
        self.quality[places] = self.quality[places[::-1]]
        one, other = (self.learner.catalogue.get(name) for name in SWAPPED)
        members = {one.name: replace(one, adapter=other.adapter), other.name: replace(other, adapter=one.adapter)}
        swapped = replace(self.learner.catalogue, members={**self.learner.catalogue.members, **members})
        self.learner = replace(self.learner, catalogue=swapped)

    def static(self) -> tuple[int, Decision]:
        """Return a request's kind, and what the static router makes of it."""
        logits = self.chance.normal(0, 1, len(SPECIALISTS))
        logits[self.chance.integers(len(SPECIALISTS))] += abs(self.chance.normal(6, 2))
        shares = np.exp(logits) / np.exp(logits).sum()
        kind = int(self.chance.choice(len(SPECIALISTS), p=shares))
        scores = {"base": 0.01, **dict(zip(SPECIALISTS, (0.99 * shares).tolist(), strict=True))}
        return kind, Selection().decide(scores, Request(message="", seats=1), self.catalogue, router="s", digest="d")

    def turn(self) -> Decision:
        number = len(self.regret)
        kind, static = self.static()
        decision = self.learner.decide(static, Request(message=str(number), seats=1), self.beliefs, str(number))
        worth = self.quality[:, kind]
        seated, other = (self.names.index(each.seats[0].member) for each in (decision, static))
        self.regret.append((worth.max() - worth[seated], worth.max() - worth[other]))
        name = decision.seats[0].member
        seen = Observation(
            outcome=str(number),
            content_name=self.learner.catalogue.get(name).content_name,
            member=name,
            features=np.array([static.scores[each] for each in self.names]),
            score=float(self.chance.random() < worth[seated]),
            weight=1.0,
        )
        for key, memory in seen.kept_under(self.learner.prior).items():
            self.beliefs[key] = after(known_of(key, self.beliefs), seen, self.learner.prior, memory)
        return decision


@pytest.mark.parametrize("own", [0.85, 0.5])
def test_what_is_learned_costs_nothing_where_nothing_changes(catalogue: Catalogue, own: float) -> None:
    total = np.zeros(2)
    for seed in range(6):
        world = World(catalogue, seed, own)
        for _ in range(300):
            world.turn()
        total += np.sum(world.regret, 0)
    learner, static = total
    assert learner <= 1.1 * static


def test_after_a_swap_the_regret_halves(catalogue: Catalogue) -> None:
    total = np.zeros(2)
    for seed in range(6):
        world = World(catalogue, seed)
        for _ in range(300):
            world.turn()
        world.swap()
        for _ in range(300):
            world.turn()
        total += np.sum(world.regret[-100:], 0)
    learner, static = total
    assert learner <= static / 2


def test_what_an_adapter_can_do_goes_with_it(catalogue: Catalogue) -> None:
    world = World(catalogue, 0)
    for _ in range(200):
        world.turn()
    world.swap()
    static = dict.fromkeys(world.names, 0.01) | {"m0": 0.94}
    decision = Selection().decide(static, Request(message="", seats=1), catalogue, router="s", digest="d")
    found = world.learner.decide(decision, Request(message="", seats=1), world.beliefs, "digest")
    assert found.scores["m1"] > 10 * found.scores["m2"]


def test_without_evidence_the_static_router_decides(catalogue: Catalogue) -> None:
    world = World(catalogue, 0)
    _, static = world.static()
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
    _, static = world.static()
    for number in range(50):
        request = Request(message=str(number), seats=2, min_seats=2, must_sit=("m5",), must_not_sit=("m3",))
        decision = world.learner.decide(static, request, world.beliefs, "digest")
        seated = {choice.member for choice in decision.seats}
        assert len(seated) == 2
        assert "m5" in seated
        assert "m3" not in seated
        assert decision.propensities["m5"] == 1


def test_the_token_budget_holds_whatever_was_learned(catalogue: Catalogue) -> None:
    world = World(catalogue, 2)
    for _ in range(60):
        world.turn()
    possible: dict[int | None, list[int]] = {None: [], catalogue.get("base").persona.sampling.max_tokens: []}
    for _ in range(20):
        _, static = world.static()
        exploring = replace(world.learner, selection=Selection(exploration=0.2))
        learner = _talkative(exploring, static.seats[0].member)
        for budget, counts in possible.items():
            request = Request(message="", seats=1, token_budget=budget)
            decision = learner.decide(static, request, world.beliefs, "digest")
            counts.append(sum(chance > 0 for chance in decision.propensities.values()))
    free, bound = possible.values()
    assert min(free) > 1
    assert set(bound) == {1}


def _talkative(learner: Learner, but: str) -> Learner:
    """Return the same where everybody but one speaks for longer."""
    members = dict(learner.catalogue.members)
    for name, member in members.items():
        sampling = member.persona.sampling
        longer = sampling.model_copy(update={"max_tokens": sampling.max_tokens + (name != but)})
        members[name] = replace(member, persona=member.persona.model_copy(update={"sampling": longer}))
    return replace(learner, catalogue=replace(learner.catalogue, members=members))
