"""Every command, run as a user runs it."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from consilium.cli.main import app
from consilium.ledger.sql import SqlLedger
from consilium.settings import data_folder
from consilium.testing.ledger import whole_turn
from tests.cli.conftest import Run
from tests.support.council import real_base


@pytest.fixture
async def recorded(tmp_path: Path) -> str:
    """Record a turn and return its id."""
    async with SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        await whole_turn(ledger)
    return "t1"


def commands(command: object, *path: str) -> Iterator[str]:
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from commands(inner, *path, name)
    else:
        yield " ".join(path)


@pytest.mark.parametrize("command", [*commands(get_command(app)), "members"])
def test_every_command_explains_itself_with_an_example(run: Run, command: str) -> None:
    done = run(*command.split(), "--help")
    assert done.returncode == 0
    assert "Examples" in done.stdout
    assert f"consilium {command}" in " ".join(done.stdout.split())


def test_members_are_listed_without_a_model(run: Run) -> None:
    done = run("members", "--json")
    members = {member["name"]: member for member in json.loads(done.stdout)["members"]}
    assert sorted(members) == ["clerk", "mate", "pilot"]
    assert members["pilot"]["content_name"].startswith("pilot@")
    assert "pilot@" in run("members").stdout
    assert json.loads(run("members", "show", "clerk").stdout)["adapter"] is None


def test_the_ledger_is_shown_as_list_as_turn_and_as_json(run: Run, recorded: str) -> None:
    listed = run("ledger", "show").stdout
    assert "message of t1" in listed
    assert "pilot 0.50" in listed
    whole = run("ledger", "show", recorded).stdout
    assert "router" in whole
    assert "aye" in whole
    (line,) = run("ledger", "show", "--json").stdout.splitlines()
    assert json.loads(line)["verdict"]["text"] == "aye"


def test_an_empty_ledger_says_so(run: Run) -> None:
    assert run("ledger", "show").stdout == "The ledger is empty.\n"


def test_outcomes_are_added_once_a_key(run: Run, recorded: str) -> None:
    assert "0.5 by user" in run("outcome", "add", recorded, "0.5", "--key", "k").stdout
    assert "0.5 by user" in run("outcome", "add", recorded, "0.5", "--key", "k").stdout
    refused = run("outcome", "add", recorded, "0.9", "--key", "k")
    assert (refused.returncode, "key='k' stands with score=0.5" in refused.stderr) == (2, True)
    log = json.loads(run("ledger", "show", recorded, "--json").stdout)
    assert [(outcome["key"], outcome["score"]) for outcome in log["outcomes"]] == [("k", 0.5)]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("outcome", "add", "nowhere", "1.0"), "no turn|names a turn"),
        (("outcome", "add", "t1", "1.5"), "score=1.5"),
        (("outcome", "add", "t1", "nan"), "score=nan"),
        (("ledger", "show", "nowhere"), "no turn 'nowhere'"),
        (("ledger", "show", "--session", "nowhere"), "no session 'nowhere'"),
        (("ledger", "show", "--database", "mysql://x/y"), "cannot be used. Write"),
        (("members", "show", "pilto"), "Did you mean 'pilot'"),
        (("members", "--personas", "nowhere"), "nowhere/catalogue.toml does not exist"),
        (("train", "member", "pilot", "--data", "nowhere.jsonl"), "nowhere.jsonl"),
        (("train", "member", "clerk", "--data", "."), "no [training] table"),
        (("eval", "members", "--members", "nobody", "--data", "."), "no member is called 'nobody'"),
    ],
)
def test_bad_input_is_one_plain_line_and_exit_code_two(
    run: Run, recorded: str, arguments: tuple[str, ...], reason: str
) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert any(lines[-1].startswith("error: ") and part in lines[-1] for part in reason.split("|")), done.stderr
    assert "Traceback" not in done.stderr


def test_a_locked_ledger_is_an_error_and_stays_as_it_was(run: Run, recorded: str, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        done = run("outcome", "add", recorded, "1.0")
    finally:
        other.close()
    assert done.returncode == 2
    assert "locked" in done.stderr
    assert json.loads(run("ledger", "show", recorded, "--json").stdout)["outcomes"] == []


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("CONSILIUM_SEATS", "0", "seats='0'"),
        ("CONSILIUM_SAETS", "3", "saets"),
        ("CONSILIUM_BASE", "/nowhere", "base='/nowhere'"),
        ("CONSILIUM_CACHE_DIR", "/dev/null/cache", "cannot be written"),
    ],
)
def test_bad_settings_are_named(run: Run, setting: str, value: str, reason: str) -> None:
    done = run("ask", "hello", **{setting: value})
    assert done.returncode == 2
    assert reason in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_no_network_on_the_first_run_is_said_plainly(run: Run, tmp_path: Path) -> None:
    done = run("ask", "hello", CONSILIUM_CACHE_DIR=str(tmp_path / "cache"), PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert done.returncode == 2
    assert "could not be fetched" in done.stderr
    assert not (tmp_path / "ledger.db").exists()
    assert list((tmp_path / "cache").rglob("*.safetensors")) == []


@pytest.mark.model
def test_doctor_finds_what_is_wrong(run: Run, tmp_path: Path) -> None:
    real_base()  # provisioned, whichever test runs first
    checks = {check["name"]: check for check in json.loads(run("doctor", "--json", "--no-model").stdout)["checks"]}
    assert checks["base model"]["state"] == "ok"
    assert checks["catalogue"]["finding"].startswith("3 members, 2 adapters")
    assert "none yet" in checks["ledger"]["finding"]
    assert not (tmp_path / "ledger.db").exists()
    (tmp_path / "personas" / "pilot" / "adapter" / "extra.bin").write_bytes(b"")
    done = run("doctor", "--no-model")
    assert done.returncode == 1
    assert "extra.bin" in done.stdout


@pytest.mark.slow
@pytest.mark.model
def test_route_decides_and_records_nothing(run: Run, tmp_path: Path) -> None:
    decision = json.loads(run("route", "--json", "How many boats came in?").stdout)
    assert sum(decision["scores"].values()) == pytest.approx(1)
    assert decision["seats"]
    assert "centroid router" in run("route", "How many boats came in?").stdout
    environment = {"CONSILIUM_LEARNING": "true", "CONSILIUM_RETAIN_DAYS": "90"}  # which the ledger of `ask` can keep
    assert run("route", "How many boats came in?", **environment).returncode == 0
    unexplained = run("route", "--explain", "How many boats came in?")
    assert unexplained.returncode == 2
    assert "CentroidRouter explains nothing beyond its scores" in unexplained.stderr
    assert not (tmp_path / "ledger.db").exists()


@pytest.mark.slow
@pytest.mark.model
def test_ask_and_chat_on_the_real_base(run: Run, tmp_path: Path) -> None:
    shipped = {"CONSILIUM_PERSONAS": str(data_folder("personas"))}
    done = run("ask", "--json", "--member", "base", "--max-tokens", "8", "What is a boat?", **shipped)
    turn = json.loads(done.stdout.splitlines()[-1])
    assert [seat["member"] for seat in turn["seats"]] == ["base"]
    assert turn["verdict"]["text"]
    said = run("chat", "--member", "base", "--max-tokens", "4", stdin="/members\nHello\n/quit\n", **shipped)
    assert said.returncode == 0
    assert "dispatcher" in said.stdout
    assert "verdict" in said.stdout
    assert len(run("ledger", "show", "--json").stdout.splitlines()) == 2


@pytest.mark.slow
@pytest.mark.model
def test_an_adapter_that_does_not_fit_is_refused_before_a_turn(run: Run, tmp_path: Path) -> None:
    done = run("ask", "What is a boat?")
    assert done.returncode == 2
    assert "does not fit the base" in done.stderr
    assert json.loads("[" + ",".join(run("ledger", "show", "--json").stdout.splitlines()) + "]") == []
