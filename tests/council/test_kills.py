"""A council that is killed at any moment loses nothing, doubles nothing, and pays for nothing twice."""

import re
import subprocess
import sys

import pytest

from tests.support.faults import Faults


def rows(kills: int, controls: int, *, seed: int) -> dict[tuple[str, str], list[int]]:
    """Run the harness in a process that has no threads; return each row's faults: lost, doubled, paid again, other."""
    command = [sys.executable, "-m", "tests.support.kills", f"--kills={kills}", f"--controls={controls}"]
    ended = subprocess.run([*command, f"--seed={seed}"], stdout=subprocess.PIPE, text=True, check=False)
    found = re.findall(r"^\| (SQLite|PostgreSQL) \| ([\w ]+) \|.*$", ended.stdout, re.MULTILINE)
    bold = [[int(n) for n in re.findall(r"\*\*(\d+)\*\*", line)] for line in ended.stdout.splitlines() if "**" in line]
    assert len(found) == len(bold) == 4
    return dict(zip(found, bold, strict=True))


def check(found: dict[tuple[str, str], list[int]]) -> None:
    assert found["SQLite", "as shipped"] == [0, 0, 0, 0]
    assert found["PostgreSQL", "as shipped"] == [0, 0, 0, 0]
    assert found["SQLite", "late"][0] > 0  # without an admission row, turns are lost
    assert found["SQLite", "forgetful"][1] > 0  # without unique keys, statements are doubled


def test_a_dozen_kills() -> None:
    check(rows(12, 10, seed=1))


@pytest.mark.slow
def test_two_hundred_kills() -> None:
    check(rows(200, 60, seed=2))


def test_the_hook_counts_and_names_the_points() -> None:
    faults = Faults(die_at=None)
    faults.reach("one")
    faults.reach("two")
    assert faults.points == ["one", "two"]
