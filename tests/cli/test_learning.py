"""Reports, comparisons and promotions as a user asks for them."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_a_new_ledger_is_reported_on(run: Run) -> None:
    done = run("report", "usage", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1]) == {"report": "usage", "members": [], "days": []}


def test_a_report_is_drawn_where_there_was_no_folder_yet(run: Run, tmp_path: Path) -> None:
    done = run("report", "usage", "--picture", "new/[/b].png")
    assert (done.returncode, "new/[/b].png drawn" in done.stderr) == (0, True)
    assert (tmp_path / "new" / "[/b].png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("picture", "said"), [("x.foo", "ends in '.foo'"), ("x", "ends in ''"), ("personas/catalogue.toml/x.png", "made")]
)
def test_a_picture_that_cannot_be_drawn_is_told_before_the_ledger_is_read(
    run: Run, tmp_path: Path, picture: str, said: str
) -> None:
    done = run("report", "usage", "--picture", picture)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "ledger.db").exists()


def test_nothing_to_roll_back_and_nothing_to_compare_end_in_words(run: Run) -> None:
    done = run("router", "rollback")
    assert (done.returncode, "no promotion to roll back" in done.stderr) == (2, True)
    done = run("router", "promote", "nowhere")
    assert (done.returncode, "'nowhere' is no router's file" in done.stderr) == (2, True)
    assert "the catalogue's own decides" in run("router", "list").stdout
    done = run("eval", "policy", "--router", "logged")
    assert (done.returncode, "Name two different routers" in done.stderr) == (2, True)


def test_a_ledger_without_outcomes_says_too_little(run: Run) -> None:
    done = run("eval", "policy", "--router", "logged", "--router", "centroid")
    assert (done.returncode, "0 scored turns tell as much" in done.stderr) == (2, True)
