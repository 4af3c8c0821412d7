"""The examples of README, with the real base and members, by the frameworks' own command lines."""

import json
from pathlib import Path

import pytest

from consilium.council.options import COUNCIL
from consilium.ledger.sql import SqlLedger
from consilium.settings import Settings, data_folder
from tests.integrations.conftest import Run

EXAMPLES = data_folder("personas").parent / "docs" / "examples"

pytestmark = [pytest.mark.slow, pytest.mark.model]


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """Where the test keeps its ledger; the base comes from the user's cache, the members from the checkout."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "examples").symlink_to(EXAMPLES)
    return {"database": f"sqlite:///{tmp_path / 'ledger.db'}", "cache_dir": str(Settings.load().cache_dir)}


async def test_inspect_scores_the_council(run: Run, settings: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai", reason="needs pip install 'consilium[inspect]'")
    from inspect_ai.log import read_eval_log_async

    model = ("--model", f"consilium/{COUNCIL}", *(f"-M{name}={value}" for name, value in settings.items()))
    done = run("inspect_ai", "eval", "docs/examples/six_requests.py", *model, "--display", "plain")
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = (tmp_path / "logs").glob("*.eval")
    log = await read_eval_log_async(str(file))  # the other call changes asyncio for the whole process
    assert log.results is not None
    assert log.results.scores[0].metrics["accuracy"].value >= 0.5  # by chance next to nothing
    async with SqlLedger(settings["database"]) as ledger:
        turns = {turn.turn.id: turn for turn in await ledger.turns()}
    assert {(sample.output.metadata or {})["turn"] for sample in log.samples or ()} == set(turns)
    seated = {seat.member for turn in turns.values() if turn.decision for seat in turn.decision.seats}
    assert {"dispatcher", "operator"} <= seated


def test_lm_eval_scores_a_member(run: Run, settings: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="needs pip install 'consilium[lm-eval]'")
    model = ("--model", "consilium", "--model_args", "member=logician", *(f"{n}={v}" for n, v in settings.items()))
    tasks = ("--tasks", "inferences,inferences_spoken", "--include_path", "docs/examples")
    done = run("consilium.integrations.lm_eval", "run", *model, *tasks, "--output_path", "out", "--log_samples")
    assert done.returncode == 0, done.stdout + done.stderr
    (results,) = tmp_path.glob("out/**/results_*.json")
    found = json.loads(results.read_text())["results"]
    assert found["inferences"]["acc,none"] >= 0.5  # by chance a third
    assert found["inferences_spoken"]["exact_match,none"] >= 0.5
