"""The matrix: everybody at everybody's work, and what is made of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from consilium.engines.protocol import Likelihood
from consilium.engines.scripted import ScriptedEngine
from consilium.evaluation.answers import Answers
from consilium.evaluation.bootstrap import loss_interval
from consilium.evaluation.markdown import nats
from consilium.evaluation.matrix import (
    BASE,
    BASE_3SHOT,
    MULTITASK,
    Cell,
    Matrix,
    Task,
    asked,
    choose_shots,
    measure,
)
from consilium.evaluation.members_page import figures, members_page
from consilium.evaluation.results import RESULTS_FILE, write_results, write_training
from consilium.evaluation.tasks import Tasks
from consilium.members.catalogue import Catalogue
from consilium.training.rows import Row
from tests.evaluation.conftest import Engine, replies
from tests.support.personas import TRAINING, write_persona


@pytest.fixture
def tasks(crew: Catalogue, data: Path) -> list[Task]:
    reader = Tasks(crew.members.values(), [data])
    return [reader.read(crew.get(name)) for name in ("pilot", "crier")]


@pytest.fixture
async def matrix(crew: Catalogue, tasks: list[Task], speaking: Engine, tmp_path: Path) -> Matrix:
    async with speaking() as engine:
        return await measure(Answers(engine, tmp_path / "answers.jsonl"), crew.get("clerk"), tasks, others_rows=4)


def test_each_is_best_at_its_own_work(matrix: Matrix) -> None:
    assert figures(matrix) == {
        "pilot": {"metric": "accuracy", "base": 50.0, "base_3shot": 50.0, "member": 100.0, "trivial": 50.0, "rows": 12},
        "crier": {"metric": "exact_match", "base": 0.0, "base_3shot": 0.0, "member": 100.0, "trivial": 0.0, "rows": 12},
    }
    for task, rival in zip(matrix.tasks, ("crier", "pilot"), strict=True):
        assert matrix.rival(task) == rival
        assert len(matrix.cells[task.name, rival].rows) == 4
        assert matrix.cells[task.name, task.name].loss < matrix.cells[task.name, rival].loss


async def test_drafts_are_the_members_own(crew: Catalogue, data: Path, speaking: Engine, tmp_path: Path) -> None:
    sampling = {"drafts": 3, "temperature": 0.5}
    training = {**TRAINING, "metric": "correction"}
    write_persona(crew.root, "crier", "crew", training=training, with_adapter=True, sampling=sampling)
    drafting = Catalogue.load(crew.root)
    tasks = [Tasks(drafting.members.values(), [data]).read(drafting.get(name)) for name in ("pilot", "crier")]
    async with speaking() as engine:
        await measure(Answers(engine, tmp_path / "answers.jsonl"), drafting.get("clerk"), tasks, others_rows=4)
        calls = [each for each in engine.calls if "call" in each.messages[-1].content]
        asked = {name: [each for each in calls if each.member == name] for name in drafting.members}
    assert [len(asked[name]) for name in ("crier", "clerk", "pilot")] == [3 * 12, 2 * 12, 4]
    assert {each.sampling.temperature for each in asked["crier"]} == {0.5}
    assert {each.sampling.temperature for name in ("clerk", "pilot") for each in asked[name]} == {0.0}


def test_gains_have_intervals(matrix: Matrix) -> None:
    pilot, crier = matrix.tasks
    gain = matrix.gain(pilot, BASE)
    assert gain.difference == 0.5
    assert 0 < gain.low < 0.5 < gain.high <= 1
    assert (matrix.gain(crier, "pilot").low, matrix.gain(crier, BASE_3SHOT).high) == (1.0, 1.0)


def test_whose_loss_is_closest_is_told_with_an_interval(matrix: Matrix) -> None:
    for task, other in zip(matrix.tasks, ("crier", "pilot"), strict=True):
        name, lower = matrix.closest(task)
        cells = matrix.cells[task.name, other], matrix.cells[task.name, task.name]
        assert name == other
        assert lower.difference == pytest.approx(cells[0].loss - cells[1].loss)
        assert lower.low <= lower.difference <= lower.high
    assert nats(lower) in members_page(matrix, command="", picture=None)


def test_the_closest_is_the_other_member_of_the_lowest_loss_and_no_control(matrix: Matrix) -> None:
    def losing(each: float) -> Cell:
        return replace(own, scores=tuple(replace(one, log_probability=-each * one.tokens) for one in own.scores))

    pilot, own = matrix.tasks[0], matrix.cells["pilot", "pilot"]
    losses = {"pilot": 1.0, BASE: 1.5, "mate": 2.0, "crier": 3.0}
    cells = {("pilot", arm): losing(loss) for arm, loss in losses.items()}
    name, lower = replace(matrix, cells=cells).closest(pilot)
    assert name == "mate"
    assert (lower.low, lower.difference, lower.high) == pytest.approx((1.0, 1.0, 1.0))


def test_a_difference_of_losses_is_as_wide_as_rows_differ() -> None:
    def scores(*nats: float) -> list[Likelihood]:
        return [Likelihood(log_probability=-each, tokens=2) for each in nats]

    same = loss_interval(scores(*[4.0] * 50), scores(*[2.0] * 50))
    assert (same.low, same.difference, same.high) == (1.0, 1.0, 1.0)
    mixed = loss_interval(scores(*[4.0] * 25, *[0.0] * 25), scores(*[2.0] * 50))
    assert mixed.low < -0.1 < mixed.difference == 0.0 < 0.1 < mixed.high


def test_labels_are_scored_by_likelihood_too(matrix: Matrix) -> None:
    pilot, crier = matrix.tasks
    assert set(matrix.cells["pilot", BASE].by_likelihood) == {"accuracy", "macro_f1"}
    assert matrix.cells["pilot", "crier"].by_likelihood == {}
    assert matrix.cells[crier.name, crier.name].by_likelihood == {}
    assert pilot.labels == ("port", "starboard")


async def test_progress_comes_to_what_was_announced(
    crew: Catalogue, tasks: list[Task], speaking: Engine, tmp_path: Path
) -> None:
    done: list[int] = []
    async with speaking() as engine:
        answers = Answers(engine, tmp_path / "more.jsonl")
        await measure(answers, crew.get("clerk"), tasks, others_rows=4, on_done=done.append)
    assert sum(done) == asked(tasks, 4)


def test_the_page_tells_the_command_and_marks_the_best(matrix: Matrix) -> None:
    page = members_page(matrix, command="consilium eval members", picture="members.svg")
    assert "```\nconsilium eval members\n```" in page
    assert "![Loss of each member at each kind of work](members.svg)" in page
    own = next(line for line in page.splitlines() if line.startswith("| pilot | 12 | accuracy |"))
    assert own.split(" | ")[3:7] == ["50.0", "50.0", "50.0", "**100.0**"]
    assert "| 2 skills | 25.0 | 25.0 | 100.0 |" in page
    rows = [line for line in page.splitlines() if line.startswith("| crier")]
    assert any("**100**" in line for line in rows)


async def test_one_adapter_for_everything_is_one_more_control(
    crew: Catalogue, tasks: list[Task], tmp_path: Path
) -> None:
    crier, done = crew.get("crier"), list[int]()
    control = replace(crier, persona=crier.persona.model_copy(update={"name": MULTITASK}))
    engine = ScriptedEngine({**replies(), MULTITASK: "port"})
    async with engine:
        answers = Answers(engine, tmp_path / "answers.jsonl")
        matrix = await measure(answers, crew.get("clerk"), tasks, others_rows=4, multitask=control, on_done=done.append)
        assert {call.messages[0].content for call in engine.calls if call.member == MULTITASK} == {
            task.member.persona.system_prompt for task in tasks
        }
    assert sum(done) == asked(tasks, 4, multitask=True)
    assert matrix.controls == [BASE, BASE_3SHOT, MULTITASK]
    assert figures(matrix)["pilot"][MULTITASK] == 50.0
    assert matrix.rival(tasks[0]) == "crier", "a control is no rival"
    took = {"rank": 4, "rows": {"train": 28_775, "members": 2}, "steps": 3_597, "seconds": 119.0, "command": "as told"}
    page = members_page(matrix, command="consilium eval members", picture=None, control=took)
    assert "gain over multitask" in page
    assert "rank 4 that learned 28,775 rows of 2 members together, in 3,597 steps and 2 minutes" in page


@pytest.mark.parametrize(("members", "others"), [(1, 4), (2, 0)])
async def test_without_work_of_others_a_page_has_no_rivals(
    crew: Catalogue, tasks: list[Task], speaking: Engine, tmp_path: Path, members: int, others: int
) -> None:
    done: list[int] = []
    async with speaking() as engine:
        answers = Answers(engine, tmp_path / "answers.jsonl")
        alone = await measure(answers, crew.get("clerk"), tasks[:members], others_rows=others, on_done=done.append)
    assert not alone.crossed
    assert set(alone.cells) == {(task.name, arm) for task in tasks[:members] for arm in (BASE, BASE_3SHOT, task.name)}
    assert sum(done) == asked(tasks[:members], others)
    page = members_page(alone, command="consilium eval members --members pilot", picture=None)
    assert "Who else" not in page
    assert "Wrong members" not in page
    assert "| pilot | 12 | accuracy | 50.0 | 50.0 | 50.0 | **100.0** |" in page


def test_results_keep_what_is_known_of_the_training(matrix: Matrix, crew: Catalogue) -> None:
    pilot = matrix.tasks[0]
    write_training(crew.root, "pilot", {"seconds": 12.5})
    write_results(crew.root, matrix, pilot, seed=0, command="consilium eval members")
    results = json.loads((crew.root / "pilot" / RESULTS_FILE).read_text())
    assert results["training"] == {"seconds": 12.5}
    assert results["member"] == crew.get("pilot").content_name
    assert results["held_out"]["accuracy"] == {"trivial": 0.5, "base": 0.5, "base_3shot": 0.5, "member": 1.0}
    assert results["held_out"]["loss"]["member"] < results["held_out"]["loss"]["base"]


def test_the_heatmap_is_a_picture_of_every_cell(matrix: Matrix, tmp_path: Path) -> None:
    from consilium.evaluation.heatmap import draw_heatmap

    file = tmp_path / "members.svg"
    draw_heatmap(matrix, file)
    drawn = file.read_text()
    assert drawn.startswith("<?xml")
    cells, labels = 2 * 4, 2 + 4
    assert drawn.count('id="text_') >= cells + labels


def test_shots_show_different_replies() -> None:
    rows = [Row(request=str(n), replies=(reply,)) for n, reply in enumerate("aabacbd")]
    assert [row.request for row in choose_shots(rows)] == ["0", "2", "4"]
