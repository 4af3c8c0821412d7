"""Online learning when two members swap adapters: real members, real rows, outcomes by the house metrics.

usage: python benchmarks/learning_drift.py --data ../shared/data/house [--router FILE] [--sample 24] [--seeds 10]

First every member in question, and the bare base, answers a sample of the held-out rows of the works in question, once:
answers are kept, and a run that is cut off goes on. The two of ``--swap`` also answer with each other's adapter under
their own system prompts. Then turns are replayed: each is one of the rows, decided by the static router and by the
learner upon it, and what was said there scores the outcome. ``--turns`` turns go before the swap and as many after it;
other replays never swap. Regret is against an oracle that knows which member is best on average at each kind of work.

The last line is JSON. ``after_swap``: the learner's regret over the static router's in the last third of the turns that
follow the swap. ``new_adapters``: the same where the learner is not told that the adapters are the ones it knows.
``no_drift``: the same over twice as many turns without a swap. Each with the mean over seeds, and the worst seed;
``static`` and ``learner`` are regrets a turn. ``halved_after``: turns after the swap until a hundred in a row cost half
of what they cost the static router, over all seeds together.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from consilium.cli.evaluating import bar_of
from consilium.council.parts import named_router
from consilium.engines.embedded.engine import EmbeddedEngine
from consilium.evaluation.answers import Answers
from consilium.evaluation.arms import Arm, prompted, seated
from consilium.evaluation.matrix import Task
from consilium.evaluation.tasks import Tasks
from consilium.learning.beliefs import Belief, Floats
from consilium.learning.learner import Learner, Observation, after, known_of
from consilium.members.base import open_base
from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Decision, Request, Router
from consilium.routing.selection import Selection
from consilium.settings import Settings

MEMBERS = "empath,logician,librarian,proofreader,operator,translator"
WORKS = "empath,logician,librarian"


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What the members are worth at each kind of work."""

    names: tuple[str, ...]
    """Of the members in question, the fallback last."""
    works: tuple[str, ...]
    """The members whose work it is."""
    decisions: Sequence[Sequence[Decision]]
    """The static router's, by kind and row."""
    before: Floats
    """What each earns, [members, kinds, rows]."""
    swapped: Floats
    """The same once two have each other's adapters."""


def arms_of(catalogue: Catalogue, task: Task, names: Sequence[str], swap: Sequence[str]) -> dict[str, Arm]:
    """Return who speaks to a task's rows: each as it would sit, and the two with each other's adapters."""
    sampling = task.member.persona.sampling.undrafted
    arms = {name: replace(seated(catalogue.get(name)), sampling=sampling) for name in names}
    for one, other in (swap, swap[::-1]):
        arm = prompted(f"{one} with {other}'s adapter", catalogue.get(other), catalogue.get(one))
        arms[arm.name] = replace(arm, sampling=sampling)
    return arms


async def scored(
    settings: Settings, catalogue: Catalogue, tasks: Sequence[Task], names: Sequence[str], swap: Sequence[str]
) -> tuple[Floats, Floats]:
    """Return what each member earns, [members, kinds, rows], as they are and after the swap."""
    base = open_base(settings.base, cache=settings.cache_dir)
    file = Path("storage/evaluation/drift.jsonl")
    file.parent.mkdir(parents=True, exist_ok=True)
    earned: dict[str, list[list[float]]] = {}
    with bar_of("asking") as bar:
        rows = sum(len(task.spoken) for task in tasks)
        bar_task = bar.add_task("statements", total=rows * (len(names) + 2))
        async with EmbeddedEngine(base, catalogue) as engine:
            answers = Answers(engine, file)
            for task in tasks:
                for name, arm in arms_of(catalogue, task, names, swap).items():
                    said = await answers.statements(arm, task.spoken, lambda count: bar.advance(bar_task, count))
                    earned.setdefault(name, []).append(task.work.per_row(said, task.spoken))
    one, other = swap
    after_swap = {
        **earned,
        one: earned[f"{one} with {other}'s adapter"],
        other: earned[f"{other} with {one}'s adapter"],
    }
    before, after = (np.array([found[name] for name in names]) for found in (earned, after_swap))
    return before, after


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Turns of one seed; regrets are [turns, 2], the learner's and the static router's."""

    house: House
    catalogue: Catalogue
    swap: tuple[str, ...]

    def regrets(self, seed: int, turns: int, kind: str) -> Floats:
        """Replay ``turns`` turns, then as many after a swap of that kind: ``none``, ``known`` or ``new`` adapters."""
        chance = np.random.default_rng(seed)
        learner = Learner(catalogue=self.catalogue, selection=Selection(seed=seed))
        beliefs: dict[str, Belief] = {}
        scores, found = self.house.before, []
        for turn in range(2 * turns):
            if turn == turns and kind != "none":
                scores = self.house.swapped
                learner = replace(learner, catalogue=self.swapped(known=kind == "known"))
            work, row = (int(chance.integers(count)) for count in scores.shape[1:])
            found.append(self._turn(learner, beliefs, scores, work, row, str(turn)))
        return np.array(found)

    def swapped(self, *, known: bool) -> Catalogue:
        """Return the catalogue with two adapters swapped, under other digests where they are not to be known."""
        one, other = (self.catalogue.get(name) for name in self.swap)
        members = {one.name: replace(one, adapter=other.adapter), other.name: replace(other, adapter=one.adapter)}
        if not known:
            for name, member in members.items():
                assert member.adapter is not None
                pin = member.adapter.pin.model_copy(update={"digest": member.adapter.pin.digest[::-1]})
                members[name] = replace(member, adapter=replace(member.adapter, pin=pin))
        return replace(self.catalogue, members={**self.catalogue.members, **members})

    def _turn(
        self, learner: Learner, beliefs: dict[str, Belief], scores: Floats, work: int, row: int, name: str
    ) -> tuple[float, float]:
        static = self.house.decisions[work][row]
        absent = tuple(other for other in self.catalogue.members if other not in self.house.names)
        request = Request(message=name, seats=1, must_not_sit=absent)
        decided = learner.decide(static, request, beliefs, name)
        member = decided.seats[0].member
        seen = Observation(
            outcome=name,
            content_name=learner.catalogue.get(member).content_name,
            member=member,
            features=np.array([static.scores[each] for each in self.catalogue.members]),
            score=float(scores[self.house.names.index(member), work, row]),
            weight=1.0,
        )
        for key, memory in seen.kept_under(learner.prior).items():
            beliefs[key] = after(known_of(key, beliefs), seen, learner.prior, memory)
        worth = scores[:, work].mean(-1)
        mine, its = (self.house.names.index(each.seats[0].member) for each in (decided, static))
        return worth.max() - worth[mine], worth.max() - worth[its]


async def decisions(
    router: Router, tasks: Sequence[Task], catalogue: Catalogue, names: Sequence[str]
) -> Sequence[Sequence[Decision]]:
    """Return what the static router decides on every row, by task."""
    absent = tuple(other for other in catalogue.members if other not in names)
    return [
        [await router.route(Request(message=row.request, seats=1, must_not_sit=absent)) for row in task.spoken]
        for task in tasks
    ]


def summed(regrets: Sequence[Floats]) -> dict[str, float]:
    """Return the ratio of regrets over all seeds, the worst seed's, and both regrets a turn."""
    each = np.array([regret.sum(0) for regret in regrets])
    learner, static = np.concatenate(regrets).mean(0)
    return {
        "ratio": round(learner / static, 3),
        "worst": round(float((each[:, 0] / each[:, 1]).max()), 3),
        "learner": round(float(learner), 4),
        "static": round(float(static), 4),
    }


def halved_after(regrets: Sequence[Floats], over: int = 100) -> int | None:
    """Return the first turn from which ``over`` turns in a row cost half of the static router's, all seeds together."""
    total = np.sum(regrets, 0).cumsum(0)
    total = np.concatenate([np.zeros((1, 2)), total])
    windows = total[over:] - total[:-over]
    (found,) = np.nonzero(windows[:, 0] <= windows[:, 1] / 2)
    return int(found[0]) if len(found) else None


async def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--members", default=MEMBERS, help="who may sit")
    parser.add_argument("--works", default=WORKS, help="members whose rows are asked")
    parser.add_argument("--swap", default="librarian,proofreader")
    parser.add_argument("--router", default="centroid")
    parser.add_argument("--sample", type=int, default=24)
    parser.add_argument("--turns", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=10)
    asked = parser.parse_args()
    settings = Settings.load()
    catalogue = Catalogue.load(settings.personas)
    names = (*asked.members.split(","), catalogue.fallback)
    tasks_of = Tasks(catalogue.members.values(), asked.data, sample=asked.sample)
    tasks = [tasks_of.read(catalogue.get(name)) for name in asked.works.split(",")]
    swap = tuple(asked.swap.split(","))
    before, swapped = await scored(settings, catalogue, tasks, names, swap)
    router = named_router(asked.router, settings, catalogue)
    replay = Replay(
        house=House(
            names=names,
            works=tuple(task.name for task in tasks),
            decisions=await decisions(router, tasks, catalogue, names),
            before=before,
            swapped=swapped,
        ),
        catalogue=catalogue,
        swap=swap,
    )
    with np.printoptions(precision=2, suppress=True, linewidth=120):
        for title, scores in (("as they are", before), (f"{swap[0]} and {swap[1]} swapped", swapped)):
            print(f"what each member ({', '.join(names)}) earns at each kind of work, {title}:\n{scores.mean(-1)}")
    found = {
        kind: [replay.regrets(seed, asked.turns, kind) for seed in range(asked.seeds)]
        for kind in ("none", "known", "new")
    }
    third = asked.turns // 3
    after_it = {kind: [each[asked.turns :] for each in found[kind]] for kind in ("known", "new")}
    figures = {
        "no_drift": summed(found["none"]),
        "after_swap": summed([each[-third:] for each in after_it["known"]]),
        "new_adapters": summed([each[-third:] for each in after_it["new"]]),
        "halved_after": {kind: halved_after(each) for kind, each in after_it.items()},
        "right_first": round(hits(replay.house), 3),
        "seeds": asked.seeds,
    }
    print(json.dumps(figures))


def hits(house: House) -> float:
    """Return how often the static router seats the member whose work a row is."""
    return float(
        np.mean(
            [
                decision.seats[0].member == name
                for name, decisions in zip(house.works, house.decisions, strict=True)
                for decision in decisions
            ]
        )
    )


if __name__ == "__main__":
    asyncio.run(main())
