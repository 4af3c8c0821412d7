"""Ask routers for decisions, and members for what those are worth."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from consilium.cli.evaluating import bar_of

if TYPE_CHECKING:
    from consilium.evaluation.answers import Answers
    from consilium.evaluation.matrix import Task
    from consilium.evaluation.routed import Routed, Tried
    from consilium.evaluation.seating import Foreign
    from consilium.members.catalogue import Catalogue
    from consilium.routing.classifier import Example
    from consilium.routing.contestants import Contestants
    from consilium.routing.protocol import Router
    from consilium.training.rows import Row

    Seats = Mapping[str, Mapping[str, Sequence[str]]]
    """By router and by what was asked, the member that was seated for each row."""


async def try_all(
    routers: "Contestants",
    trials: "Mapping[str, Sequence[Example]]",
    rows: "Mapping[str, Sequence[Row]]",
    catalogue: "Catalogue",
) -> "tuple[dict[str, Tried], Seats]":
    """Make each router, and let it decide on the trials and on rows that members are to answer."""
    from consilium.evaluation.routed import Tried

    tried: dict[str, Tried] = {}
    seats: dict[str, dict[str, list[str]]] = {}
    count = sum(map(len, trials.values()))
    with bar_of("trying") as bar:
        task = bar.add_task("", total=len(routers) * (count + sum(map(len, rows.values()))))
        for name, make in routers.items():
            bar.update(task, description=name)
            router, conditions = make(), {}
            for condition, trial in trials.items():
                conditions[condition] = await _routed(router, trial, catalogue)
                bar.advance(task, len(trial))
            tried[name] = Tried(conditions=conditions)
            seats[name] = {}
            for work, asked in rows.items():
                seats[name][work] = [await _seated(router, row.request) for row in asked]
                bar.advance(task, len(asked))
    return tried, seats


async def hear(
    answers: "Answers",
    tried: "Mapping[str, Tried]",
    seats: "Seats",
    tasks: "Sequence[Task]",
    elsewhere: "Mapping[str, Sequence[Row]]",
    catalogue: "Catalogue",
    *,
    first: str,
) -> "tuple[dict[str, Tried], dict[str, Foreign]]":
    """Let members answer as the first router seated them: what its decisions on their own work are worth.

    And what every router's decisions on nobody's work are worth, which takes likelihoods alone.
    """
    from consilium.evaluation import seating

    with bar_of("hearing") as bar:
        total = seating.asked(tasks, catalogue) + len(catalogue.members) * sum(map(len, elsewhere.values()))
        task = bar.add_task("rows", total=total)

        def advance(count: int) -> None:
            bar.advance(task, count)

        worth = await seating.worth(answers, tasks, seats[first], catalogue, advance)
        unseen = {}
        for work, rows in elsewhere.items():
            chosen = {name: seats[name][work] for name in tried}
            unseen[work] = await seating.foreign(answers, rows, chosen, catalogue, advance)
    return {**tried, first: replace(tried[first], worth=tuple(worth))}, unseen


async def _routed(router: "Router", trial: "Sequence[Example]", catalogue: "Catalogue") -> "Routed":
    """Ask a router for a decision on each request, one at a time."""
    import numpy as np

    from consilium.evaluation.routed import Routed
    from consilium.routing.protocol import Request

    members = tuple(catalogue.members)
    scores, seated = [], []
    for each in trial:
        sat = (each.sat,) if each.sat else ()
        decision = await router.route(Request(message=each.message, sat=sat, seats=1))
        scores.append([decision.scores[name] for name in members])
        seated.append(members.index(decision.seats[0].member))
    right = np.array([members.index(each.member) for each in trial])
    return Routed(members=members, scores=np.array(scores), right=right, seated=np.array(seated))


async def _seated(router: "Router", message: str) -> str:
    from consilium.routing.protocol import Request

    decision = await router.route(Request(message=message, seats=1))
    return decision.seats[0].member
