"""consilium train: a member of one's own, and the control beside it, from rows to figures."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.support.personas import TRAINING, write_catalogue, write_persona
from tests.support.sources import write

PORTS = ("Ostend", "Genoa", "Dover", "Calais", "Bergen", "Lisbon", "Gdansk", "Bari")


def write_rows(folder: Path, reply: str) -> None:
    """Write rows whose replies a few steps teach."""
    for part, count in (("train", 32), ("dev", 8), ("test", 4)):
        asked = [f"Boat {number} of {part} left {PORTS[number % 8]}." for number in range(count)]
        rows: list[dict[str, object]] = [
            {"input": text, "targets": [reply.format(number)]} for number, text in enumerate(asked)
        ]
        write(folder / f"{part}.jsonl", *rows)


@pytest.mark.slow
@pytest.mark.model
def test_a_member_and_the_control_are_trained_and_measured(run: Run, tmp_path: Path) -> None:
    root, data = tmp_path / "crew", tmp_path / "data"
    root.mkdir()
    training = {**TRAINING, "rank": 2, "epochs": 4.0}
    for name, reply in (("pilot", "Aye, boat {} is out."), ("mate", "Nay, boat {} is not in.")):
        write_persona(root, name, "crew", training=training, sampling={"max_tokens": 12})
        write_rows(data / name, reply)
    write_persona(root, "clerk", "desk")
    write_catalogue(root, {"crew": ["pilot", "mate"], "desk": ["clerk"]}, fallback="clerk")

    for name in ("pilot", "mate"):
        done = run("train", "member", name, "--data", str(data / name), CONSILIUM_PERSONAS=str(root))
        assert done.returncode == 0, done.stderr
        assert f"installed {name}@" in done.stderr
        results = json.loads((root / name / "results.json").read_text())
        assert results["training"]["rows"] == {"train": 32, "dev": 8, "test": 4}
        assert results["held_out"]["chrf"]["member"] > results["held_out"]["chrf"]["base"]

    union = ("train", "multitask", "--data", str(data), "--epochs", "4")
    done = run(*union, "--learning-rate", "1e-3", CONSILIUM_PERSONAS=str(root))
    assert done.returncode == 0, done.stderr
    assert "rank 4, 64 rows of 2 members" in done.stderr
    control = tmp_path / "storage" / "training" / "multitask"
    took = json.loads((control / "results.json").read_text())["training"]
    assert (took["rank"], took["rows"]) == (4, {"train": 64, "dev": 16, "members": 2})
    done = run(*union, CONSILIUM_PERSONAS=str(root))
    assert done.returncode == 2
    assert "another recipe" in done.stderr, "the rate that was named was not the one that was trained at"
    compare = ("eval", "members", "--data", str(data), "--multitask", str(control), "--others", "0")
    done = run(*compare, "--page", "control.md", "--json", CONSILIUM_PERSONAS=str(root))
    assert done.returncode == 0, done.stderr
    assert took["command"] in (tmp_path / "control.md").read_text()
    for figures in json.loads(done.stdout.splitlines()[-1])["members"].values():
        assert figures["multitask"] > figures["base"]
    shown = run(*compare, CONSILIUM_PERSONAS=str(root))  # kept: nothing is asked anew
    assert shown.stdout.split()[:7] == ["member", "metric", "rows", "trivial", "base", "base_3shot", "multitask"]


def write_crew(tmp_path: Path) -> tuple[Path, Path]:
    root, data = tmp_path / "crew", tmp_path / "data"
    root.mkdir()
    write_persona(root, "clerk", "desk", training=TRAINING)
    write_persona(root, "pilot", "desk", training=TRAINING)
    write_catalogue(root, {"desk": ["clerk", "pilot"]}, fallback="clerk")
    write_rows(data, "Aye, boat {}.")
    return root, data


def test_the_fallback_is_not_trained(run: Run, tmp_path: Path) -> None:
    root, data = write_crew(tmp_path)
    before = (root / "clerk" / "persona.toml").read_bytes()
    done = run("train", "member", "clerk", "--data", str(data), CONSILIUM_PERSONAS=str(root))
    assert done.returncode == 2
    assert "'clerk' is the fallback" in done.stderr
    assert (root / "clerk" / "persona.toml").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_told_before_training(run: Run, tmp_path: Path) -> None:
    root, data = write_crew(tmp_path)
    for work in ("/dev/null/x", str(data / "train.jsonl")):
        done = run("train", "member", "pilot", "--data", str(data), "--work", work, CONSILIUM_PERSONAS=str(root))
        assert done.returncode == 2, done.stderr
        assert " cannot be made: " in done.stderr
