"""Seating: what decisions earn, and what they cost in likelihood, where who is good at what is known."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from consilium.engines.scripted import ScriptedEngine
from consilium.errors import BadRows
from consilium.evaluation import seating
from consilium.evaluation.answers import Answers
from consilium.evaluation.matrix import Task
from consilium.evaluation.tasks import Tasks
from consilium.evaluation.unseen import unseen_rows
from consilium.members.catalogue import Catalogue
from tests.evaluation.conftest import Engine, replies
from tests.support.sources import RIDDLES, write_unseen


@pytest.fixture
def tasks(crew: Catalogue, data: Path) -> list[Task]:
    reader = Tasks(crew.members.values(), [data])
    return [reader.read(crew.get(name)) for name in ("pilot", "crier")]


async def worth(crew: Catalogue, tasks: list[Task], chosen: Sequence[str], file: Path) -> list[seating.Worth]:
    seats = {task.name: list(chosen) * (len(task.spoken) // len(chosen)) for task in tasks}
    async with ScriptedEngine(replies()) as engine:
        return await seating.worth(Answers(engine, file), tasks, seats, crew)


async def test_decisions_earn_what_those_who_were_seated_do(crew: Catalogue, tasks: list[Task], tmp_path: Path) -> None:
    pilot, crier = await worth(crew, tasks, ["pilot"], tmp_path / "answers.jsonl")
    assert (pilot.found, pilot.own, pilot.routed) == (1, 1, 1)
    assert (crier.found, crier.own, crier.routed) == (0, 1, 0)
    mixed, _ = await worth(crew, tasks, ["pilot", "crier"], tmp_path / "answers.jsonl")
    assert (mixed.found, mixed.own, mixed.routed) == (0.5, 1, 0.5)


async def test_regret_is_nothing_where_the_best_sits_and_counted_from_the_best(
    crew: Catalogue, tasks: list[Task], tmp_path: Path
) -> None:
    pilot, crier = await worth(crew, tasks, ["pilot"], tmp_path / "answers.jsonl")
    assert pilot.regret == pytest.approx(0)
    assert crier.regret > 0


async def test_progress_comes_to_what_was_announced(
    crew: Catalogue, tasks: list[Task], speaking: Engine, tmp_path: Path
) -> None:
    done: list[int] = []
    seats = {task.name: ["clerk"] * len(task.spoken) for task in tasks}
    async with speaking() as engine:
        await seating.worth(Answers(engine, tmp_path / "answers.jsonl"), tasks, seats, crew, done.append)
    assert sum(done) == seating.asked(tasks, crew)


async def test_what_nobody_learned_is_told_by_likelihood(
    crew: Catalogue, tasks: list[Task], speaking: Engine, tmp_path: Path
) -> None:
    rows = tasks[0].spoken
    seats = {"knows": ["pilot"] * len(rows), "guesses": ["clerk", "crier"] * (len(rows) // 2)}
    async with speaking() as engine:
        found = await seating.foreign(Answers(engine, tmp_path / "answers.jsonl"), rows, seats, crew)
    assert found.single() == "pilot"
    assert found.single(but="pilot") == "clerk"
    means = found.figures()
    assert means["rows"] == len(rows)
    assert means["routers"]["knows"] == means["members"]["pilot"] == pytest.approx(0)
    others = (means["members"]["clerk"] + means["members"]["crier"]) / 2
    assert means["routers"]["guesses"] == pytest.approx(others, rel=0.5)


def test_regrets_are_never_negative() -> None:
    nats = np.random.default_rng(0).normal(size=(50, 4))
    assert (seating.regrets(nats, [3] * 50) >= 0).all()
    assert seating.regrets(nats, nats.argmax(1).tolist()).max() == 0


def test_rows_of_each_set_are_read_and_long_ones_left_out(tmp_path: Path) -> None:
    write_unseen(tmp_path)
    found = unseen_rows(tmp_path, 2)
    assert {name: len(rows) for name, rows in found.items()} == {"bbh": 2, "p3": 1, "mt-bench": 1, "self-instruct": 1}
    assert found["self-instruct"][0].request == "Name the boat.\n\nIt is small."
    assert all(len(row.request) < 2_000 for rows in found.values() for row in rows)


@pytest.mark.parametrize(("reference", "remedy"), [({}, "target: Field required"), ({"target": " "}, "needs both")])
def test_a_set_without_a_reference_is_named_by_line(reference: dict[str, str], remedy: str, tmp_path: Path) -> None:
    write_unseen(tmp_path)
    riddles = [{"task": task, "input": "How many?", **reference} for task in RIDDLES]
    (tmp_path / "bbh.jsonl").write_text("".join(json.dumps(row) + "\n" for row in riddles))
    with pytest.raises(BadRows, match=rf"bbh\.jsonl line \d: .*{remedy}"):
        unseen_rows(tmp_path, 2)
