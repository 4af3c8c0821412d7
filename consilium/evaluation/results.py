"""results.json: what a member can do, beside its persona."""

import json
from pathlib import Path
from typing import Any

from consilium.errors import BadRows
from consilium.evaluation.matrix import BASE, BASE_3SHOT, Matrix, Task
from consilium.members.files import write_whole

RESULTS_FILE = "results.json"


def write_results(root: Path, matrix: Matrix, task: Task, *, seed: int, command: str) -> None:
    """Write the member's own figures; what stands there about its training stays.

    Args:
        root: folder of the catalogue.
        matrix: holds the member's own work and the controls.
        task: the member's.
        seed: of sampling.
        command: what measured.
    """
    file = root / task.name / RESULTS_FILE
    cells = {name: matrix.cells[task.name, arm] for name, arm in _ARMS.items()}
    own = matrix.cells[task.name, task.name]
    results: dict[str, Any] = {
        "member": task.member.content_name,
        "rows": {"spoken": len(task.spoken), "scored": len(task.scored)},
        "headline": task.work.headline,
        "held_out": {
            "loss": {name: round(cell.loss, 4) for name, cell in (*cells.items(), ("member", own))},
            **_figures(matrix, task),
        },
        "units": "loss in nats a token; all else shares from 0 to 1",
        "seed": seed,
        "command": command,
        "training": read_training(root, task.name),
    }
    write_whole(file, (json.dumps(results, indent=2, ensure_ascii=False) + "\n").encode())


_ARMS = {"base": BASE, "base_3shot": BASE_3SHOT}


def _figures(matrix: Matrix, task: Task) -> dict[str, dict[str, float]]:
    """Return, by metric, what each arm has."""
    own = matrix.cells[task.name, task.name]
    arms = {
        "trivial": task.work.trivial(own.rows),
        **{name: matrix.cells[task.name, arm].metrics for name, arm in _ARMS.items()},
        "member": own.metrics,
    }
    return {metric: {name: round(values[metric], 4) for name, values in arms.items()} for metric in task.work.metrics}


def write_training(root: Path, name: str, training: dict[str, Any]) -> None:
    """Write what a training took, before its member is measured; older figures go, they were of other weights."""
    write_whole(root / name / RESULTS_FILE, (json.dumps({"training": training}, indent=2) + "\n").encode())


def read_training(root: Path, name: str) -> dict[str, Any] | None:
    """Return what stands about a member's training; None where nothing does.

    Raises:
        BadRows: the file is there and holds something else.
    """
    file = root / name / RESULTS_FILE
    if not file.exists():
        return None
    try:
        training: dict[str, Any] | None = dict(json.loads(file.read_bytes())).get("training")
    except (ValueError, TypeError) as error:
        raise BadRows(f"{file} cannot be read: {error}. Remove it, and train or measure again.") from error
    return training
