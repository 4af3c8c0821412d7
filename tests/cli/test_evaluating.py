"""consilium eval members: what is asked for wrongly is said before a model is loaded."""

import json
from pathlib import Path

import pytest

from consilium.cli.evaluating import command_line
from tests.cli.conftest import Run
from tests.support.council import fitting_weights, real_base, write_fitting_member
from tests.support.personas import write_catalogue, write_persona


def test_rows_that_are_not_there_are_asked_for(run: Run, tmp_path: Path) -> None:
    done = run("eval", "members", "--data", str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert "hold no rows for any member" in done.stderr
    done = run("eval", "members", "--data", str(tmp_path), "--members", "pilot,nobody")
    assert done.returncode == 2
    assert "'nobody'" in done.stderr
    assert not (tmp_path / "storage").exists()


def test_a_broken_row_is_named_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "pilot"
    folder.mkdir(parents=True)
    for part in ("train", "dev", "test"):
        (folder / f"{part}.jsonl").write_text('{"input": "a", "targets": ["b"]}\n{"input": ""}\n')
    done = run("eval", "members", "--data", str(tmp_path / "data"))
    assert done.returncode == 2
    assert "train.jsonl line 2: 'input' is ''" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "personas" / "pilot" / "results.json").exists()


def test_a_control_of_too_high_a_rank_is_refused_before_it_is_trained(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "pilot"
    folder.mkdir(parents=True)
    for part in ("train", "dev", "test"):
        (folder / f"{part}.jsonl").write_text(json.dumps({"input": f"{part} boat", "targets": ["b"]}) + "\n")
    done = run("train", "multitask", "--data", str(tmp_path / "data"), "--rank", "129")
    assert done.returncode == 2
    assert "rank=129: an adapter has at most 128" in done.stderr
    assert not (tmp_path / "storage").exists()


def test_a_members_results_that_cannot_be_read_are_named_before_the_hours(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "pilot"
    folder.mkdir(parents=True)
    for part in ("train", "dev", "test"):
        (folder / f"{part}.jsonl").write_text(json.dumps({"input": f"{part} boat", "targets": ["b"]}) + "\n")
    results = tmp_path / "personas" / "pilot" / "results.json"
    results.write_text("{torn")
    done = run("eval", "members", "--data", str(tmp_path / "data"), "--members", "pilot")
    assert done.returncode == 2
    assert f"{results} cannot be read" in done.stderr
    assert "measuring" not in done.stderr


@pytest.mark.parametrize("results", ["{torn", "[1]", "null"])
def test_results_of_a_control_that_cannot_be_read_are_named(run: Run, tmp_path: Path, results: str) -> None:
    (tmp_path / "results.json").write_text(results)
    done = run("eval", "members", "--data", str(tmp_path), "--members", "pilot", "--multitask", str(tmp_path))
    assert done.returncode == 2
    assert f"{tmp_path}/results.json cannot be read" in done.stderr


@pytest.mark.parametrize("results", [None, {"training": {"steps": 9}}], ids=["nothing", "a member"])
def test_a_folder_without_a_control_is_refused_by_name(
    run: Run, tmp_path: Path, results: dict[str, object] | None
) -> None:
    folder = tmp_path / "elsewhere"
    if results:
        folder.mkdir()
        (folder / "results.json").write_text(json.dumps(results))
    done = run("eval", "members", "--data", str(tmp_path), "--members", "pilot", "--multitask", str(folder))
    assert done.returncode == 2
    assert f"{folder} holds no control" in done.stderr


@pytest.mark.parametrize("kept", [["--resume", "--work", "a b"], ["--afresh"], ["--work=x"], []])
def test_a_command_is_told_without_where_answers_are_kept(kept: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/bin/consilium", "eval", *kept, "members", "--data", "my rows", "--json"])
    assert command_line() == "consilium eval members --data 'my rows' --json"


@pytest.mark.slow
@pytest.mark.model
def test_a_small_evaluation_on_the_real_base(run: Run, tmp_path: Path) -> None:
    root, base = tmp_path / "crew", real_base()
    root.mkdir()
    for number, name in enumerate(("pilot", "mate")):
        write_fitting_member(root, name, base.name, fitting_weights(number))
        rows = [{"input": f"How many boats on day {n}?", "targets": [f"{n} boats", "none"]} for n in range(6)]
        for part in ("train", "dev", "test"):
            file = tmp_path / "data" / name / f"{part}.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(json.dumps({**row, "input": f"{part}: {row['input']}"}) for row in rows))
    write_persona(root, "clerk", "desk")
    write_catalogue(root, {"crew": ["pilot", "mate"], "desk": ["clerk"]}, fallback="clerk")
    done = run(
        "eval", "members", "--data", str(tmp_path / "data"), "--sample", "2", "--json", "--page", "members.md",
        CONSILIUM_PERSONAS=str(root),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    members = json.loads(done.stdout.splitlines()[-1])["members"]
    assert set(members) == {"pilot", "mate"}
    for figures in members.values():
        assert figures["metric"] == "chrf"
        assert all(0 <= figures[arm] <= 100 for arm in ("base", "base_3shot", "member"))
    assert "| pilot | 2 | chrf |" in (tmp_path / "members.md").read_text()
    assert (tmp_path / "members.svg").exists()
    assert json.loads((root / "mate" / "results.json").read_text())["rows"] == {"spoken": 2, "scored": 2}
