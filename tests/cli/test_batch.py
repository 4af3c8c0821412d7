"""consilium batch, as a user runs it, where no model is needed."""

import json
import signal
import subprocess
import sys
import time
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
        (("status", "."), "the output '.' is a folder"),
        (("run", "in.jsonl", "-o", "out.jsonl", "--map", "message"), "--map 'message' is not FIELD=COLUMN"),
        (("run", "in.jsonl", "-o", "out.jsonl", "--executor", "slurm"), "'local' or 'ray'"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run("batch", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_interrupting_drains_and_status_tells(run: Run, tmp_path: Path) -> None:
    lines = [json.dumps({"message": f"row {row}"}) for row in range(2_000)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    program = """if True:
        import asyncio, sys
        from pathlib import Path
        from consilium.cli.batch import _run
        from tests.support.job_child import open_job, paying
        here = Path(sys.argv[1])
        try:
            asyncio.run(_run(open_job(here / "personas", here, reply=paying(here / "paid.txt"), concurrency=8), False))
        except KeyboardInterrupt:
            sys.exit(130)
    """
    job = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stderr=subprocess.PIPE)
    output = tmp_path / "out.jsonl"
    while job.poll() is None and not (output.exists() and output.stat().st_size):
        time.sleep(0.01)
    busy = json.loads(run("batch", "status", "out.jsonl", "--json").stdout)
    job.send_signal(signal.SIGINT)
    _, said = job.communicate(timeout=60)
    assert job.returncode == 130, said.decode()
    assert b"finishing the rows in hand" in said
    stopped = json.loads(run("batch", "status", "out.jsonl", "--json").stdout)
    assert (busy["status"], stopped["status"], stopped["why"]) == ("running", "stopped", "interrupted")
    written = output.read_text().splitlines()
    assert stopped["done"] == len(written) < 2_000
    paid = (tmp_path / "paid.txt").read_text().splitlines()
    assert len(paid) == 2 * len(written)  # whatever was begun was finished and written
    done = run("batch", "cancel", "out.jsonl")
    assert (done.returncode, "nothing to cancel" in done.stderr) == (2, True)
