"""What decisions are worth: whoever was seated answers the row, and is scored as the row's own member would be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.evaluation.answers import Answers, OnDone
from consilium.evaluation.arms import seated
from consilium.evaluation.bootstrap import Interval, mean_interval
from consilium.evaluation.matrix import Task
from consilium.members.catalogue import Catalogue
from consilium.training.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What seating one member for each row of a task was worth."""

    task: str
    metric: str
    rows: int
    found: float
    """Share of the rows for which the task's own member was seated."""
    own: float
    """What the own member earns on all rows, in its headline metric, a share from 0 to 1."""
    routed: float
    """What those who were seated earn on them."""
    regret: float
    """Nats a token by which the reference is likelier under the best speaker for the row than under the seated one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Foreign:
    """Regret at work that nobody was trained for, in nats a token as in `Worth`, each of shape [rows]."""

    members: Mapping[str, NDArray[np.float64]]
    """Of seating always the same."""
    routers: Mapping[str, NDArray[np.float64]]
    """Of seating as each router decided."""

    def single(self, but: str = "") -> str:
        """Return the member that it would be best to seat always, but for one."""
        return min((name for name in self.members if name != but), key=lambda name: self.members[name].mean())

    def over(self, router: str, member: str) -> Interval:
        """Return how much more a router's decisions lose than seating always that member."""
        return mean_interval(self.routers[router] - self.members[member])

    def figures(self) -> dict[str, Any]:
        """Return the means, and how many rows they are of."""
        parts = {"members": self.members, "routers": self.routers}
        means = {part: {name: float(lost.mean()) for name, lost in found.items()} for part, found in parts.items()}
        return {"rows": len(next(iter(self.members.values()))), **means}


def together(parts: Sequence[Foreign]) -> Foreign:
    """Return the rows of several sets, of the same members and routers, as one."""
    first = parts[0]
    return Foreign(
        members={name: np.concatenate([part.members[name] for part in parts]) for name in first.members},
        routers={name: np.concatenate([part.routers[name] for part in parts]) for name in first.routers},
    )


async def worth(
    answers: Answers,
    tasks: Sequence[Task],
    seats: Mapping[str, Sequence[str]],
    catalogue: Catalogue,
    on_done: OnDone = lambda _count: None,
) -> list[Worth]:
    """Let members answer, and say what each task's decisions were worth.

    Args:
        answers: asks, and remembers.
        tasks: whose ``spoken`` rows were decided on.
        seats: by task, the member that was seated for each row.
        catalogue: the members that might have been.
        on_done: told how many more rows were answered; `asked` says how many there are in all.
    """
    found = []
    for task in tasks:
        chosen, rows = seats[task.name], task.spoken
        own, routed = [
            task.work.score(await _said(answers, task, speakers, catalogue, on_done), rows)[task.work.headline]
            for speakers in ([task.name] * len(rows), chosen)
        ]
        nats = await likelihoods(answers, rows, catalogue, on_done)
        places = [list(catalogue.members).index(name) for name in chosen]
        found.append(
            Worth(
                task=task.name,
                metric=task.work.headline,
                rows=len(rows),
                found=sum(name == task.name for name in chosen) / len(rows),
                own=own,
                routed=routed,
                regret=float(regrets(nats, places).mean()),
            )
        )
    return found


def of_oracle(works: Sequence[Worth]) -> float | None:
    """Return what decisions earned as a share of what the right ones would have, each a mean over tasks.

    None where the right ones earn nothing.
    """
    own = fmean(each.own for each in works)
    return fmean(each.routed for each in works) / own if own else None


def asked(tasks: Sequence[Task], catalogue: Catalogue) -> int:
    """Return how many rows `worth` asks for."""
    return sum(len(task.spoken) for task in tasks) * (2 + len(catalogue.members))


async def foreign(
    answers: Answers,
    rows: Sequence[Row],
    seats: Mapping[str, Sequence[str]],
    catalogue: Catalogue,
    on_done: OnDone = lambda _count: None,
) -> Foreign:
    """Ask every member how likely it finds the references, and say what each router's decisions lost.

    Args:
        answers: asks, and remembers.
        rows: of work that no member was trained for.
        seats: by router, the member that was seated for each row.
        catalogue: the members that might have been.
        on_done: told how many more rows were answered, of one for each row and member.
    """
    nats, members = await likelihoods(answers, rows, catalogue, on_done), list(catalogue.members)
    return Foreign(
        members={name: regrets(nats, [place] * len(rows)) for place, name in enumerate(members)},
        routers={router: regrets(nats, [members.index(name) for name in chosen]) for router, chosen in seats.items()},
    )


async def likelihoods(
    answers: Answers, rows: Sequence[Row], catalogue: Catalogue, on_done: OnDone = lambda _count: None
) -> NDArray[np.float64]:
    """Return how likely each member, seated, finds each row's first reply, in nats a token, [rows, members]."""
    replies = [row.replies[0] for row in rows]
    columns = []
    for member in catalogue.members.values():
        found = await answers.likelihoods(seated(member), rows, replies, on_done)
        columns.append([each.log_probability / each.tokens for each in found])
    return np.array(columns).T


def regrets(nats: NDArray[np.float64], places: Sequence[int]) -> NDArray[np.float64]:
    """Return by how much the best of each row is above the one at its place, [rows].

    >>> regrets(np.array([[-1.0, -3.0], [-2.0, -0.5]]), [1, 1]).tolist()
    [2.0, 0.0]
    """
    chosen = nats[np.arange(len(nats)), list(places)]
    lost: NDArray[np.float64] = nats.max(1) - chosen
    return lost


async def _said(
    answers: Answers, task: Task, speakers: Sequence[str], catalogue: Catalogue, on_done: OnDone
) -> list[str]:
    """Return what each row's speaker says to it, heard as the task's own member is."""
    said = [""] * len(task.spoken)
    for name in dict.fromkeys(speakers):
        places = [place for place, speaker in enumerate(speakers) if speaker == name]
        arm = seated(catalogue.get(name), of=task.member)
        statements = await answers.statements(arm, [task.spoken[place] for place in places], on_done)
        for place, statement in zip(places, statements, strict=True):
            said[place] = statement
    return said
