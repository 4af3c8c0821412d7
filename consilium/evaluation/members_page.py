"""The page about members: tables of a matrix, in Markdown."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from consilium.evaluation.markdown import interval, nats, percent, table
from consilium.evaluation.matrix import Matrix, Task
from consilium.evaluation.work import STYLE

_HOW_TO_READ = """\
Rows are held-out ones, a share of them without any instruction, the rest under instructions that no member was trained
on. *Trivial* is what takes no skill: the input copied, or the commonest reply. *base* is the bare base with the
member's own system prompt, *base_3shot* the same after three training rows. Figures are percent; in brackets the 95 %
interval of the gain, rows drawn in pairs. That of chrF is the gain in the mean over sentences, which is not quite the
difference of the columns, chrF of the whole."""


def members_page(matrix: Matrix, *, command: str, picture: str | None, control: Mapping[str, Any] | None = None) -> str:
    """Return the whole page.

    Args:
        matrix: what was measured.
        command: what measured it.
        picture: file name of the heatmap, if there is one.
        control: what the training of the multi-task control took, if it was measured.
    """
    parts = [
        "# The members, each at its own work" + (" and at everybody else's" if matrix.crossed else ""),
        f"Written by the command that measured it:\n\n```\n{command}\n```",
        _HOW_TO_READ,
        *([] if control is None else [_multitask(control)]),
        "## Own work",
        _own(matrix),
        "## On the whole",
        "Means of the headline metrics: of skills, and of voices.",
        _means(matrix),
        *(_others(matrix, picture) if matrix.crossed else ()),
    ]
    return "\n\n".join(parts) + "\n"


def _multitask(control: Mapping[str, Any]) -> str:
    rows = control["rows"]
    return (
        f"*multitask*: one adapter of rank {control['rank']} that learned {rows['train']:,} rows of {rows['members']} "
        f"members together, in {control['steps']:,} steps and {control['seconds'] / 60:,.0f} minutes:\n\n"
        f"```\n{control['command']}\n```"
    )


def _own(matrix: Matrix) -> str:
    controls = matrix.controls
    head = ("member", "rows", "metric", "trivial", *controls, "member", *(f"gain over {one}" for one in controls))
    lines = []
    for task in matrix.tasks:
        cells = [matrix.cells[task.name, arm] for arm in (*controls, task.name)]
        rows = str(len(cells[-1].rows))
        trivial = task.work.trivial(cells[-1].rows)
        for metric in task.work.metrics:
            figures = [percent(values[metric]) for values in (trivial, *(cell.metrics for cell in cells))]
            gains = [""] * len(controls)
            if metric == task.work.headline:
                gains = [interval(matrix.gain(task, control)) for control in controls]
                figures[-1] = f"**{figures[-1]}**"
            lines.append((task.name, rows, metric, *figures, *gains))
        if task.labels:
            figures = [percent(cell.by_likelihood[task.work.headline]) for cell in cells]
            lines.append(
                (task.name, rows, f"{task.work.headline}, likeliest label", "", *figures, *[""] * len(controls))
            )
    return table(head, lines)


def _means(matrix: Matrix) -> str:
    voices = [task for task in matrix.tasks if task.work.headline == STYLE]
    skills = [task for task in matrix.tasks if task not in voices]
    lines = []
    for kind, tasks in (("skills", skills), ("voices", voices)):
        if tasks:
            arms = [[control] * len(tasks) for control in matrix.controls] + [[task.name for task in tasks]]
            lines.append((f"{len(tasks)} {kind}", *(percent(_mean(matrix, tasks, of_each)) for of_each in arms)))
    return table(("mean of", *matrix.controls, "member"), lines)


def _mean(matrix: Matrix, tasks: Sequence[Task], arms: Sequence[str]) -> float:
    return fmean(
        matrix.cells[task.name, arm].metrics[task.work.headline] for task, arm in zip(tasks, arms, strict=True)
    )


def _others(matrix: Matrix, picture: str | None) -> Sequence[str]:
    return (
        *_rivals(matrix),
        "## Wrong members: loss",
        "Nats a token of the first accepted reply, its end included; the lowest of a line is bold.",
        *([f"![Loss of each member at each kind of work]({picture})"] if picture else []),
        _losses(matrix),
        "## Wrong members: headline metric",
        "Percent, each on the first rows of the task; the highest of a line is bold.",
        _headlines(matrix),
    )


def _rivals(matrix: Matrix) -> Sequence[str]:
    lines = []
    for task in matrix.tasks:
        rival, (closest, lower) = matrix.rival(task), matrix.closest(task)
        gain = interval(matrix.gain(task, rival))
        lines.append((task.name, task.work.headline, rival, gain, closest, nats(lower)))
    head = (
        "work of",
        "metric",
        "best other member",
        "own member's gain",
        "lowest other loss",
        "own member's is lower by",
    )
    return (
        "## Who else could do it",
        "The other member that does best, on the rows that both answered; and the one whose loss is the lowest, in "
        "nats a token of the first accepted reply.",
        table(head, lines),
    )


def _losses(matrix: Matrix) -> str:
    arms = columns(matrix)
    lines = []
    for task in matrix.tasks:
        losses = {arm: matrix.cells[task.name, arm].loss for arm in arms}
        lines.append((task.name, *_marked(losses, min(losses.values()), "{:.2f}")))
    return table(("work of", *arms), lines)


def _headlines(matrix: Matrix) -> str:
    arms = columns(matrix)
    lines = []
    for task in matrix.tasks:
        rows = min(len(matrix.cells[task.name, arm].rows) for arm in arms)
        shares = {}
        for arm in arms:
            cell = matrix.cells[task.name, arm]
            shares[arm] = 100 * task.work.score(cell.statements[:rows], cell.rows[:rows])[task.work.headline]
        lines.append((f"{task.name} ({task.work.headline}, {rows})", *_marked(shares, max(shares.values()), "{:.0f}")))
    return table(("work of", *arms), lines)


def columns(matrix: Matrix) -> list[str]:
    """Return the arms in the order in which tables and pictures show them: the members, then the controls."""
    return [*(task.name for task in matrix.tasks), *matrix.controls]


def _marked(values: dict[str, float], best: float, form: str) -> list[str]:
    shown = {arm: form.format(value) for arm, value in values.items()}
    return [f"**{text}**" if values[arm] == best else text for arm, text in shown.items()]


def figures(matrix: Matrix) -> dict[str, dict[str, object]]:
    """Return the headline figures of each member in percent, as ``consilium eval members --json`` prints them."""

    def headline(task: Task, arm: str) -> float:
        return round(100 * matrix.cells[task.name, arm].metrics[task.work.headline], 2)

    return {
        task.name: {
            "metric": task.work.headline,
            **{control: headline(task, control) for control in matrix.controls},
            "member": headline(task, task.name),
            "trivial": round(100 * task.work.trivial(matrix.cells[task.name, task.name].rows)[task.work.headline], 2),
            "rows": len(matrix.cells[task.name, task.name].rows),
        }
        for task in matrix.tasks
    }
