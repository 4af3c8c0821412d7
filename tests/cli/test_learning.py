"""Reports, comparisons and promotions as a user asks for them."""

import json

from tests.cli.conftest import Run


def test_a_new_ledger_is_reported_on(run: Run) -> None:
    done = run("report", "usage", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1]) == {"report": "usage", "members": [], "days": []}


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
