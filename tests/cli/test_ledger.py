"""The commands that keep, read and mend the ledger, run as a user runs them."""

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from consilium.cli.main import main
from consilium.council.options import TurnOptions
from consilium.ledger.sql import SqlLedger
from consilium.testing.ledger import admit, outcome, whole_turn
from tests.cli.conftest import Run
from tests.support.personas import write_catalogue, write_persona
from tests.support.tiny import write_tiny_base

Said = Callable[..., tuple[object, str, str]]


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqlLedger]:
    """A ledger of two sessions, open in this process."""
    async with SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        await whole_turn(ledger, "t1", "s1")
        await whole_turn(ledger, "t2", "s2")
        await ledger.record(outcome("t1"))
        yield ledger


@pytest.fixture
def alone(tmp_path: Path) -> dict[str, str]:
    """Settings of a council of one bare member on a tiny base."""
    personas = tmp_path / "alone"
    personas.mkdir()
    write_persona(personas, "clerk", "desk")
    write_catalogue(personas, {"desk": ["clerk"]}, fallback="clerk")
    write_tiny_base(tmp_path / "base")
    return {"CONSILIUM_PERSONAS": str(personas), "CONSILIUM_BASE": str(tmp_path / "base")}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[None]:
    """A ledger of two sessions and one that is being played in this process."""
    loop = asyncio.new_event_loop()
    ledger = loop.run_until_complete(SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}").__aenter__())
    loop.run_until_complete(whole_turn(ledger, "t1", "s1"))
    loop.run_until_complete(admit(ledger, "t9", "running"))
    yield
    loop.run_until_complete(ledger.__aexit__(None, None, None))
    loop.close()


@pytest.fixture
def said(
    tmp_path: Path, alone: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Said:
    """Run a command in this process; return its exit code and what it printed, on stdout and on stderr."""
    for name, value in {**alone, "CONSILIUM_DATABASE": f"sqlite:///{tmp_path / 'ledger.db'}"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def said_(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["consilium", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return ended.value.code, told.out, told.err

    return said_


def content(tmp_path: Path) -> list[str]:
    """Return all that the ledger's file holds."""
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        return list(connection.iterdump())


@pytest.mark.slow
async def test_recover_plays_what_was_cut_off_and_leaves_what_is_being_played(
    run: Run, ledger: SqlLedger, tmp_path: Path, alone: dict[str, str]
) -> None:
    options = TurnOptions(seats=1, method="best", members=("clerk",), max_tokens=4).model_dump(mode="json")
    async with SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}") as other:  # which ends without playing it
        await other.admit(session_id="s3", turn_id="t3", message="w20 w21", options=options)
    await admit(ledger, "t4", "s4")
    done = run("ledger", "recover", "--json", **alone)
    assert done.returncode == 0, done.stderr
    found = {each["turn_id"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert found["t3"] == {"turn_id": "t3", "status": "concluded", "reason": None}
    assert found["t4"]["status"] == "left"
    assert "is being played by another process" in found["t4"]["reason"]
    log = await ledger.load("t3")
    assert (log.turn.status, log.turn.tries, len(log.statements)) == ("concluded", 2, 1)
    assert "t4  left  turn 't4' is being played" in run("ledger", "recover", **alone).stdout


@pytest.mark.slow
async def test_recover_says_where_there_is_nothing(run: Run, ledger: SqlLedger, alone: dict[str, str]) -> None:
    done = run("ledger", "recover", **alone)
    assert (done.returncode, done.stdout, "No turn was cut off." in done.stderr) == (0, "", True)


async def test_purge_removes_one_session_or_what_is_older(run: Run, ledger: SqlLedger, tmp_path: Path) -> None:
    assert json.loads(run("ledger", "purge", "--session", "s1", "--json").stdout) == {"purged": ["s1"]}
    assert [log.turn.id for log in await ledger.turns()] == ["t2"]
    assert run("ledger", "purge", "--older-than", "90d").stdout == "0 sessions are gone.\n"
    assert run("ledger", "purge", CONSILIUM_RETAIN_DAYS="1").stdout == "0 sessions are gone.\n"
    assert run("ledger", "purge", "--older-than", "0m").stdout == "1 sessions are gone.\n"
    assert not any("t1" in line or "t2" in line for line in content(tmp_path))


async def test_sql_answers_as_a_table_and_as_json(run: Run, ledger: SqlLedger) -> None:
    query = "select turn_id, count(*) as seats from seats group by turn_id order by turn_id"
    lines = run("ledger", "sql", query, "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [{"turn_id": "t1", "seats": 2}, {"turn_id": "t2", "seats": 2}]
    assert len(run("ledger", "sql", query, "--json", "--limit", "1").stdout.splitlines()) == 1
    shown = run("ledger", "sql", query).stdout
    assert "turn_id" in shown
    assert "t2" in shown
    assert "'[/b]'" in run("ledger", "sql", "select '[/b]'").stdout  # which is the column's name too


async def test_export_writes_turns_or_seats(run: Run, ledger: SqlLedger, tmp_path: Path) -> None:
    done = run("ledger", "export", "turns.jsonl")
    assert (done.returncode, done.stderr) == (0, "2 turns are in turns.jsonl.\n")
    turns = [json.loads(line) for line in (tmp_path / "turns.jsonl").read_text().splitlines()]
    assert [(turn["turn"]["id"], len(turn["outcomes"])) for turn in turns] == [("t1", 1), ("t2", 0)]
    assert "1 turns" in run("ledger", "export", "seats.parquet", "--session", "s2").stderr
    assert pq.read_table(tmp_path / "seats.parquet").column("turn_id").to_pylist() == ["t2", "t2"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("recover", "--personas", "nowhere"), "nowhere/catalogue.toml does not exist"),
        (("recover", "--database", "sqlite:////dev/null/ledger.db"), "cannot be opened"),
        (("purge",), "neither --session nor --older-than, and retain_days is not set"),
        (("purge", "--session", "s1", "--older-than", "1d"), "either --session or --older-than"),
        (("purge", "--session", "nowhere"), "no session 'nowhere'"),
        (("purge", "--session", "running"), "turn 't9' is being played by another process"),
        (("purge", "--older-than", "soon"), "'soon' is no span"),
        (("purge", "--older-than", "999999d"), "'999999d' is longer than there is time"),
        (("sql", "delete from turns"), "is not a read"),
        (("sql", "with x as (select 1) delete from turns"), "cannot be answered"),
        (("sql", "select * from nowhere"), "no such table: nowhere"),
        (("sql", "select 1; select 2"), "one statement at a time"),
        (("sql", ""), "is not a read"),
        (("export", "turns.csv"), "ends neither in .jsonl nor in .parquet"),
        (("export", "turns.jsonl", "--session", "nowhere"), "no session 'nowhere'"),
        (("export", "no/folder/turns.jsonl"), "no/folder"),
        (("export", "ledger.db/turns.jsonl"), "file='ledger.db/turns.jsonl' cannot be written"),
        (("export", "seats.parquet", "--database", "sqlite:////dev/null/x.db"), "cannot be opened"),
    ],
)
def test_bad_input_is_one_plain_line_and_changes_nothing(
    said: Said, running: None, tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    before, files = content(tmp_path), sorted(path.name for path in tmp_path.iterdir())
    code, out, err = said("ledger", *arguments)
    assert (code, out) == (2, ""), err
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert reason in line
    assert content(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir() if "checkpoints" not in path.name) == files


@pytest.mark.parametrize(
    "arguments",
    [
        ("recover",),
        ("purge", "--session", "s1"),
        ("purge", "--older-than", "0m"),
        ("sql", "select 1"),
        ("export", "turns.jsonl"),
    ],
)
def test_a_ledger_of_a_newer_version_is_refused(
    said: Said, running: None, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
        connection.commit()
    before = content(tmp_path)
    code, out, err = said("ledger", *arguments)
    assert (code, out) == (2, "")
    assert "has schema '9999'; this version of Consilium knows up to" in err
    assert content(tmp_path) == before
    assert not (tmp_path / "turns.jsonl").exists()
