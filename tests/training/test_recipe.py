"""The recipe, for real: a few steps on the real base, killed and gone on with."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from consilium.errors import BadRows, BadSettings, MissingExtra
from consilium.members.adapter import CONFIG_FILE, WEIGHTS_FILE
from consilium.members.persona import Recipe, RowsSpec
from consilium.training.installing import install_adapter
from consilium.training.recipe import Step, train_adapter
from consilium.training.rows import Lesson, Row, lessons, read_split
from tests.support.council import real_base
from tests.support.personas import TRAINING, write_persona


def boats(days: range) -> tuple[Lesson, ...]:
    rows = [Row(request=f"How many boats came in on day {n}?", replies=(f"{n} boats.",)) for n in days]
    return lessons("You are the pilot.", rows)


TAUGHT, DEV = boats(range(32)), boats(range(40, 48))


def test_there_must_be_something_to_learn(tmp_path: Path) -> None:
    with pytest.raises(BadRows, match="nothing to learn from"):
        train_adapter(Recipe(), (), real_base(), tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_tracker_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consilium.training.recipe.find_spec", lambda _name: None)
    with pytest.raises(MissingExtra, match="pip install trackio"):
        train_adapter(Recipe(), TAUGHT, real_base(), tmp_path / "work", tracker="trackio")
    assert not (tmp_path / "work").exists()


@pytest.mark.model
def test_a_lesson_that_is_too_long_is_named_before_training_starts(tmp_path: Path) -> None:
    data = tmp_path / "train.jsonl"
    entries = [
        {"input": f"How many on day {day}?", "targets": ["boat " * length]}
        for day, length in enumerate((1, 2000, 3000, 1, 1, 1))
    ]
    data.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    rows = read_split(data, RowsSpec(max_target_chars=100_000)).train
    with pytest.raises(
        BadRows, match=r"train\.jsonl line 2 has 2,0\d\d tokens with its prompt, and 1,024 are the most"
    ):
        train_adapter(Recipe(), lessons("You are the pilot.", rows), real_base(), tmp_path / "work")
    assert not (tmp_path / "work").exists()


@pytest.mark.model
def test_a_weight_is_of_one_token(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"' two boats' is 2 tokens of the base.*Give the text of a single token"):
        train_adapter(Recipe(token_weights={" .": 2, " two boats": 2}), TAUGHT, real_base(), tmp_path / "work")
    assert not (tmp_path / "work").exists()


@pytest.mark.slow
@pytest.mark.model
def test_training_learns_installs_and_is_not_mixed_up(tmp_path: Path) -> None:
    write_persona(tmp_path, "pilot", "crew", training=TRAINING)
    recipe, work, steps = Recipe(rank=2, epochs=4, learning_rate=0.002), tmp_path / "work", list[Step]()
    trained = train_adapter(recipe, TAUGHT, real_base(), work, dev=DEV, on_step=steps.append)
    assert (trained.rows, trained.steps) == (32, 16)
    assert steps[-1].total == 16
    assert steps[-1].tokens > steps[0].tokens > 0
    assert trained.loss < 1.0
    assert trained.dev_loss is not None
    assert trained.base_dev_loss is not None
    assert trained.dev_loss < trained.base_dev_loss / 2
    assert steps[-1].dev_loss is not None
    adapter = install_adapter(trained.folder, tmp_path, "pilot")
    assert (adapter.settings.r, adapter.pin.base) == (2, real_base().name)
    assert {path.name for path in trained.folder.iterdir()} == {CONFIG_FILE, WEIGHTS_FILE}
    for checkpoint in work.glob("checkpoint-*"):  # all but the best are removed in the end, and the best may be early
        shutil.rmtree(checkpoint)
    again = train_adapter(recipe, TAUGHT, real_base(), work, dev=DEV)
    assert again == trained
    assert (again.folder / WEIGHTS_FILE).read_bytes() == adapter.read_weights()
    with pytest.raises(BadRows, match="another"):
        train_adapter(recipe, TAUGHT[:16], real_base(), work)
    with pytest.raises(BadRows, match="another"):
        train_adapter(recipe, TAUGHT, real_base(), work, dev=DEV[:4])
    (work / "run.json").write_text("")
    with pytest.raises(BadRows, match=r"run\.json cannot be read"):
        train_adapter(recipe, TAUGHT, real_base(), work, dev=DEV)


@pytest.mark.slow
@pytest.mark.model
def test_a_run_of_a_step_or_two_is_a_run(tmp_path: Path) -> None:
    trained = train_adapter(Recipe(rank=2), TAUGHT[:9], real_base(), tmp_path / "work")
    assert (trained.steps, trained.dev_loss, trained.base_dev_loss) == (2, None, None)
    assert trained.loss > 0


@pytest.mark.slow
@pytest.mark.model
def test_a_weight_changes_what_is_learned(tmp_path: Path) -> None:
    plain, weighted = (
        train_adapter(Recipe(rank=2, token_weights=weights), TAUGHT[:9], real_base(), tmp_path / name)
        for name, weights in (("plain", {}), ("weighted", {" boats": 20.0}))
    )
    assert weighted.loss > 2 * plain.loss
    assert (weighted.folder / WEIGHTS_FILE).read_bytes() != (plain.folder / WEIGHTS_FILE).read_bytes()


@pytest.mark.slow
@pytest.mark.model
def test_a_killed_run_goes_on_along_the_same_curve(tmp_path: Path) -> None:
    recipe, whole, killed = Recipe(rank=2, epochs=8), list[Step](), list[Step]()
    reference = train_adapter(recipe, TAUGHT, real_base(), tmp_path / "whole", dev=DEV, on_step=whole.append)
    code = (
        "from pathlib import Path; from consilium.members.persona import Recipe\n"
        "from tests.support.council import real_base; from tests.training.test_recipe import DEV, TAUGHT\n"
        "from consilium.training.recipe import train_adapter\n"
        "train_adapter(Recipe(rank=2, epochs=8), TAUGHT, real_base(), Path('work'), dev=DEV)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment)
    try:
        while not (tmp_path / "work" / "checkpoint-20" / "trainer_state.json").exists():
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    (tmp_path / "work" / "checkpoint-30").mkdir()  # one whose writing was cut off
    trained = train_adapter(recipe, TAUGHT, real_base(), tmp_path / "work", dev=DEV, on_step=killed.append)
    assert killed[0].done in range(21, 31)
    assert [step.loss for step in killed] == pytest.approx([step.loss for step in whole[-len(killed) :]], rel=1e-3)
    assert (trained.steps, trained.dev_loss) == (reference.steps, pytest.approx(reference.dev_loss, rel=1e-3))
