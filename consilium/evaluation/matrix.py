"""The matrix of members and kinds of work: each on its own rows, on everybody else's, and beside the controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from consilium.concurrency import all_of
from consilium.engines.protocol import Likelihood
from consilium.evaluation.answers import Answers, OnDone
from consilium.evaluation.arms import Arm, prompted, seated
from consilium.evaluation.bootstrap import Interval, loss_interval, paired_interval
from consilium.evaluation.work import Work
from consilium.members.catalogue import Member
from consilium.training.rows import Row

BASE, BASE_3SHOT, MULTITASK = CONTROLS = ("base", "base_3shot", "multitask")
"""The bare base with the member's own system prompt; the same after three training rows; and, where there is one, a
single adapter that learned every member's work, likewise prompted."""
SHOTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One member's work, and the rows it is measured on."""

    member: Member
    work: Work
    spoken: tuple[Row, ...]
    """Rows that are answered in words."""
    scored: tuple[Row, ...]
    """Rows whose first reply's likelihood is asked for."""
    shots: tuple[Row, ...]
    """Training rows that the base is shown."""
    labels: tuple[str, ...] = ()
    """The replies there are, where the work is to choose one of a few."""

    @property
    def name(self) -> str:
        """The member's name."""
        return self.member.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One arm on one task."""

    rows: tuple[Row, ...]
    """The rows that it answered in words."""
    statements: tuple[str, ...]
    metrics: Mapping[str, float]
    """Shares from 0 to 1."""
    scores: tuple[Likelihood, ...]
    """Of the first accepted reply to each of the task's scored rows, its end included."""
    by_likelihood: Mapping[str, float] = field(default_factory=dict)
    """The metrics where the likeliest label counts as said."""

    @property
    def loss(self) -> float:
        """Nats a token of those replies."""
        return -sum(one.log_probability for one in self.scores) / sum(one.tokens for one in self.scores)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """All cells, by task and arm."""

    tasks: tuple[Task, ...]
    cells: Mapping[tuple[str, str], Cell]

    @property
    def controls(self) -> list[str]:
        """The controls that were measured, in the order in which tables show them."""
        return [control for control in CONTROLS if (self.tasks[0].name, control) in self.cells]

    @property
    def crossed(self) -> bool:
        """Whether members were measured at each other's work too."""
        return any(self._others(task) for task in self.tasks)

    def gain(self, task: Task, over: str) -> Interval:
        """Return how far the task's own member is above another arm, on the rows that both answered."""
        own, other = self.cells[task.name, task.name], self.cells[task.name, over]
        rows = len(other.rows)
        return paired_interval(task.work, own.statements[:rows], other.statements, other.rows)

    def rival(self, task: Task) -> str:
        """Return the other member that does best at the task; of equals, the one whose loss is lower.

        There has to be another: a matrix of one member has no rivals.
        """

        def merit(arm: str) -> tuple[float, float]:
            cell = self.cells[task.name, arm]
            return cell.metrics[task.work.headline], -cell.loss

        return max(self._others(task), key=merit)

    def closest(self, task: Task) -> tuple[str, Interval]:
        """Return the other member whose loss is the lowest, and by how much the own member's is lower.

        There has to be another.
        """
        name = min(self._others(task), key=lambda arm: self.cells[task.name, arm].loss)
        other, own = self.cells[task.name, name], self.cells[task.name, task.name]
        return name, loss_interval(other.scores, own.scores)

    def _others(self, task: Task) -> list[str]:
        """Return the other members that were measured at the task."""
        return [arm for name, arm in self.cells if name == task.name and arm not in (task.name, *CONTROLS)]


def choose_shots(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the first rows whose replies all differ, as many as the base is shown."""
    by_reply = {row.replies[0]: row for row in reversed(rows)}
    chosen = [row for row in rows if by_reply[row.replies[0]] is row]
    return tuple(islice(chosen, SHOTS))


async def measure(
    answers: Answers,
    fallback: Member,
    tasks: Sequence[Task],
    *,
    others_rows: int,
    multitask: Member | None = None,
    on_done: OnDone = lambda _count: None,
) -> Matrix:
    """Ask every arm for what the matrix needs.

    Args:
        answers: asks, and remembers.
        fallback: the member without an adapter.
        tasks: whose members are also the columns.
        others_rows: of a task's rows, how many the members answer whose work it is not; with 0 they are not asked.
        multitask: the control that learned everything at once, if there is one.
        on_done: told how many more rows were answered; `asked` says how many there are in all.
    """
    cells: dict[tuple[str, str], Cell] = {}
    for task in tasks:
        arms = _arms(task, fallback, tasks if others_rows else [task], multitask)
        # all at once, so that the engine's batch is full until the last
        found = await all_of([_cell(answers, task, arm, others_rows, on_done) for arm in arms])
        cells |= {(task.name, arm.name): cell for arm, cell in zip(arms, found, strict=True)}
    return Matrix(tasks=tuple(tasks), cells=cells)


def asked(tasks: Sequence[Task], others_rows: int, *, multitask: bool = False) -> int:
    """Return how many rows `measure` asks for."""
    total = 0
    for task in tasks:
        own = (4 if multitask else 3) * (len(task.spoken) + len(task.scored) + len(task.spoken) * len(task.labels))
        others = (len(tasks) - 1) * (len(task.spoken[:others_rows]) + len(task.scored))
        total += own + (others if others_rows else 0)
    return total


def _arms(task: Task, fallback: Member, seats: Sequence[Task], multitask: Member | None) -> list[Arm]:
    return [
        prompted(BASE, fallback, task.member),
        prompted(BASE_3SHOT, fallback, task.member, task.shots),
        *([] if multitask is None else [prompted(MULTITASK, multitask, task.member)]),
        *(seated(other.member, of=task.member) for other in seats),
    ]


async def _cell(answers: Answers, task: Task, arm: Arm, others_rows: int, on_done: OnDone) -> Cell:
    own = arm.name in (task.name, *CONTROLS)
    rows = task.spoken if own else task.spoken[:others_rows]
    statements = tuple(await answers.statements(arm, rows, on_done))
    scores = await answers.likelihoods(arm, task.scored, [row.replies[0] for row in task.scored], on_done)
    return Cell(
        rows=rows,
        statements=statements,
        metrics=task.work.score(statements, rows),
        scores=tuple(scores),
        by_likelihood=await _by_likelihood(answers, task, arm, rows, on_done) if own and task.labels else {},
    )


async def _by_likelihood(
    answers: Answers, task: Task, arm: Arm, rows: tuple[Row, ...], on_done: OnDone
) -> Mapping[str, float]:
    """Score the label that the arm finds likeliest: what it knows, whatever it would have said."""
    count = len(task.labels)
    every = [row for row in rows for _ in task.labels]
    found = await answers.likelihoods(arm, every, list(task.labels) * len(rows), on_done)
    likeliest = [
        max(zip(found[at : at + count], task.labels, strict=True), key=lambda pair: pair[0].log_probability)[1]
        for at in range(0, len(found), count)
    ]
    return task.work.score(likeliest, rows)
