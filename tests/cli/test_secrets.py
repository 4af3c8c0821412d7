"""No command shows a secret, whatever it has to say of the settings that hold it."""

import sys
from pathlib import Path

import pytest

from consilium.cli.main import main
from tests.cli.conftest import Run
from tests.support.canary import CANARY, check_unseen, texts_in


@pytest.mark.parametrize(
    "database",
    [
        f"postgresql+psycopg://council:{CANARY}@127.0.0.1:9/ledger",
        f"postgresql+psycopg://council:{CANARY}@127.0.0.1:port/ledger",
        f"postgresql+asyncpg://council:{CANARY}@127.0.0.1/ledger",
        f"mysql://council:/{CANARY}@db/ledger",
        f"postgresql:council:{CANARY}@db/ledger",
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        "ledger show",
        "ledger recover",
        "ledger purge --session s1",
        "ledger sql select+1",
        "ledger export all.jsonl",
        "report usage",
        "router rollback",
        "eval policy --router logged --router live",
        "outcome add t1 1.0",
    ],
)
def test_no_command_shows_the_password_of_a_database_that_it_cannot_use(
    tmp_path: Path,
    harbour: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    database: str,
    command: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONSILIUM_DATABASE", database)
    monkeypatch.setenv("CONSILIUM_PERSONAS", str(harbour))
    monkeypatch.setattr(sys, "argv", ["consilium", *(part.replace("+", " ") for part in command.split())])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert told.err.splitlines()[-1].startswith("error: "), told.err
    check_unseen(told.err, *texts_in(tmp_path))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("CONSILIUM_API_KYE", CANARY),
        ("CONSILIUM_BASE_URL", f"http://council:{CANARY}@127.0.0.1/v1"),
        ("CONSILIUM_BASE_URL", f"http://council:/{CANARY}@127.0.0.1/v1"),
    ],
)
def test_a_misplaced_secret_is_refused_and_not_shown(run: Run, setting: str, value: str) -> None:
    done = run("ledger", "show", **{setting: value})
    assert (done.returncode, setting.removeprefix("CONSILIUM_").lower() in done.stderr) == (2, True)
    check_unseen(done.stdout, done.stderr)
