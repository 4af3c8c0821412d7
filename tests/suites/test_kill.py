"""SIGKILL anywhere: what was paid for is kept whole, and not paid again."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.support.suites import TITLE, many_rows

ROWS = 30


def start(folder: Path) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "CONSILIUM_PERSONAS": str(folder / "personas")}
    return subprocess.Popen([sys.executable, "-m", "tests.support.suites", str(folder)], env=environment)


def paid(folder: Path) -> Counter[str]:
    file = folder / "paid.txt"
    return Counter(file.read_text().splitlines()) if file.exists() else Counter()


def kept(folder: Path) -> list[str]:
    """Return the keys of all whole lines; what a kill left of the last one counts for nothing."""
    file = folder / "out" / "statements.jsonl"
    content = file.read_bytes() if file.exists() else b""
    return [json.loads(line)[0] for line in content[: content.rfind(b"\n") + 1].splitlines()]


def test_an_evaluation_survives_being_killed(harbour: Path, tmp_path: Path) -> None:
    (tmp_path / "a.suite.toml").write_text(TITLE + many_rows(ROWS))
    chance, kills = random.Random(5), 0
    for place in sorted(chance.sample(range(10, 5 * ROWS - 10), 2)):
        evaluation = start(tmp_path)
        while evaluation.poll() is None and paid(tmp_path).total() < place:
            time.sleep(0.001)
        kills += evaluation.poll() is None
        evaluation.kill()
        evaluation.wait()
        assert not (tmp_path / "out" / "report.html").exists()
    assert kills >= 1
    assert start(tmp_path).wait(timeout=120) == 0
    keys = kept(tmp_path)
    assert len(keys) == len(set(keys)) == 5 * ROWS  # three members alone, one more draw of the base and of the best
    again = paid(tmp_path)
    assert set(again.values()) <= set(range(1, kills + 2))
    # At most what was being made when the process died was asked for again: eight statements at one time.
    assert again.total() - len(again) <= 8 * kills
    written = [(tmp_path / "out" / name).read_bytes() for name in ("report.json", "grades.jsonl", "report.md")]
    assert start(tmp_path).wait(timeout=60) == 0
    assert paid(tmp_path) == again
    assert [(tmp_path / "out" / name).read_bytes() for name in ("report.json", "grades.jsonl", "report.md")] == written
