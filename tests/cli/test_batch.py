"""consilium batch, as a user runs it, where no model is needed."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_help_has_examples(run: Run) -> None:
    for command in ("run", "status", "retry", "cancel"):
        shown = run("batch", command, "--help")
        assert shown.returncode == 0
        assert f"consilium batch {command} " in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("status", "nowhere.jsonl"), "is of no job"),
        (("cancel", "nowhere.jsonl"), "is of no job"),
        (("retry", "nowhere.jsonl"), "is of no job"),
        (("run", "in.jsonl", "-o", "out.jsonl", "--map", "message"), "--map 'message' is not FIELD=COLUMN"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run("batch", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
