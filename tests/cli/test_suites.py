"""consilium eval run, as a user runs it, where no model is needed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from consilium.evaluation.comparison import MINUS, TIMES
from tests.cli.conftest import Run
from tests.support.suites import many_rows, write_suite

GOOD = many_rows(30)


def test_help_has_examples_and_shipped_suites_are_listed(run: Run, tmp_path: Path) -> None:
    assert "consilium eval run desks" in run("eval", "run", "--help").stdout
    done = run("eval", "run", "--list")
    assert done.returncode == 0, done.stderr
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [["desks", "Three", "desks."]]


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        (GOOD, (), "no suite is named"),
        (GOOD, ("nowhere.toml",), "does not exist"),
        (GOOD, ("desk",), "is no .toml file"),
        (
            "arms = ['cuoncil']\n" + GOOD,
            ("a.suite.toml",),
            "a.suite.toml, line 2: arms.0: no member is called 'cuoncil'",
        ),
        ("members = ['pilt']\n" + GOOD, ("a.suite.toml",), "line 2: members.0: no member is called 'pilt'"),
        (GOOD.replace("exact", "inexact"), ("a.suite.toml",), "line 4: data.0.metrics.0: no metric is called"),
        ("colour = 1\n" + GOOD, ("a.suite.toml",), "line 2: colour: no such field here"),
        ('[[data]]\nfile = "no.csv"\nmetrics = ["chrf"]\n', ("a.suite.toml",), "no.csv cannot be read"),
        ('[[data]]\nfile = "empty.csv"\nmetrics = ["chrf"]\n', ("a.suite.toml",), "empty.csv holds no rows"),
        (GOOD.replace('id = "1"', 'id = "2"'), ("a.suite.toml",), "id '2' stands in data.0.rows.1 too"),
        (GOOD, ("a.suite.toml", "--output", "a.suite.toml"), "a.suite.toml cannot be written"),
        (GOOD, ("a.suite.toml", "--output", "empty.csv/out"), "cannot be written: Not a directory"),
    ],
)
def test_what_is_wrong_ends_with_two_and_one_line(
    run: Run, tmp_path: Path, text: str, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "empty.csv").touch()
    write_suite(tmp_path, text)
    # The base cannot be had: whoever is told first has not been asked to pay for anything.
    done = run("eval", "run", *arguments, CONSILIUM_CACHE_DIR="/nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "storage").exists()


PROGRAM = """if True:
    import asyncio, sys
    from pathlib import Path
    from consilium import Catalogue, Evaluation, Suite
    from consilium.cli.suites import _run, _show
    from tests.support.suites import open_suite
    suite = Suite.load(Path("a.suite.toml"), catalogue=Catalogue.load(Path("personas")))
    evaluation = Evaluation(suite, "out", token_budget=int(sys.argv[1]) or None)
    asyncio.run(_run(evaluation, open_suite(suite)))
    _show(evaluation, len(sys.argv) > 2)
"""


@pytest.mark.slow
def test_figures_are_shown_and_json_is_the_last_line(run: Run, tmp_path: Path) -> None:
    write_suite(tmp_path, GOOD)

    def evaluate(*arguments: str) -> "subprocess.CompletedProcess[str]":
        here = {"cwd": tmp_path, "env": {"PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "80"}}
        return subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, **here)  # type: ignore[call-overload]

    stopped = evaluate("100", "json")
    assert stopped.returncode != 0
    assert json.loads(stopped.stdout.splitlines()[-1]) == {
        "status": "stopped",
        "why": "the budget of 100 tokens is spent",
    }
    assert "what was paid for is kept" in stopped.stderr
    shown = evaluate("0")
    assert shown.returncode == 0, shown.stderr
    assert f"best member {TIMES}k" in shown.stdout
    assert f"council {MINUS} base: +66.7 [" in shown.stdout
    assert shown.stdout.splitlines()[-1] == "report   out/report.html"
    found = json.loads(evaluate("0", "json").stdout.splitlines()[-1])
    assert (found["status"], found["report"], found["rows"]) == ("finished", "out/report.html", 30)
