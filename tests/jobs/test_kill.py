"""SIGKILL anywhere: no row is lost, doubled or torn, and what was finished is not paid again."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest


def start(folder: Path, *on_ray: str, alone: bool = False) -> "subprocess.Popen[bytes]":
    """Start the job's process; ``alone`` makes it the first of its own process group, as a shell does."""
    environment = {**os.environ, "CONSILIUM_PERSONAS": str(folder / "personas")}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.job_child", str(folder), *on_ray],
        env=environment,
        start_new_session=alone,
    )


def paid(folder: Path) -> Counter[str]:
    file = folder / "paid.txt"
    return Counter(file.read_text().splitlines()) if file.exists() else Counter()


def finished(folder: Path) -> list[str]:
    """Return the ids of all whole lines; what a kill left of the last one counts for nothing."""
    output = folder / "out.jsonl"
    content = output.read_bytes() if output.exists() else b""
    whole = content[: content.rfind(b"\n") + 1].splitlines()
    return [json.loads(line)["custom_id"] for line in whole]


def of_rows(calls: Counter[str], ids: list[str]) -> dict[str, int]:
    return {f"{member} row {row}": calls[f"{member} row {row}"] for row in ids for member in ("pilot", "mate")}


def write_rows(folder: Path, rows: int) -> None:
    lines = [json.dumps({"custom_id": str(row), "message": f"row {row}"}) for row in range(rows)]
    (folder / "in.jsonl").write_text("\n".join(lines) + "\n")


def wait_until_paid(folder: Path, job: "subprocess.Popen[bytes]", statements: int) -> None:
    while job.poll() is None and paid(folder).total() < statements:
        time.sleep(0.001)


def check_whole(folder: Path, rows: int, *, kills: int) -> None:
    """Every row is there once and whole, and paid twice only where it was being answered when something died."""
    assert (folder / "out.jsonl").read_bytes().endswith(b"\n")
    assert sorted(map(int, finished(folder))) == list(range(rows))
    assert 0 <= paid(folder).total() - 2 * rows <= 2 * 16 * kills


def kill_many_times(folder: Path, *on_ray: str, rows: int, kills: int, seed: int) -> int:
    """Kill a job wherever chance will have it, at so many places spread over its rows; return how often it was."""
    write_rows(folder, rows)
    chance, killed = random.Random(seed), 0
    for place in sorted(chance.sample(range(2, 2 * rows), kills)):
        before = finished(folder)
        cost = of_rows(paid(folder), before)
        job = start(folder, *on_ray)
        wait_until_paid(folder, job, place)
        time.sleep(chance.random() * 0.01)
        killed += job.poll() is None
        job.kill()
        job.wait()
        assert of_rows(paid(folder), before) == cost
        assert finished(folder)[: len(before)] == before
    assert start(folder, *on_ray).wait(timeout=300) == 0
    check_whole(folder, rows, kills=kills)
    content = (folder / "out.jsonl").read_bytes()
    assert start(folder, *on_ray).wait(timeout=120) == 0
    assert (folder / "out.jsonl").read_bytes() == content
    return killed


def test_a_job_survives_being_killed(harbour: Path, tmp_path: Path) -> None:
    assert kill_many_times(tmp_path, rows=60, kills=2, seed=1) >= 1


@pytest.mark.slow
def test_500_rows_survive_20_kills(harbour: Path, tmp_path: Path) -> None:
    assert kill_many_times(tmp_path, rows=500, kills=20, seed=2) >= 15
