"""Migrations go up and down, and the models say what the migrations made."""

import asyncio
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, create_engine, inspect, select

from consilium.errors import LedgerVersion
from consilium.ledger.connection import connect
from consilium.ledger.entries import ClosingEntry
from consilium.ledger.migrate import HEAD, alembic_config, bring_up_to_date, migrate, revision, schema_of
from consilium.ledger.orm import Table
from consilium.ledger.sql import SqlLedger
from consilium.testing.ledger import admit, outcome, whole_turn


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return connect(f"sqlite:///{tmp_path / 'ledger.db'}", busy_timeout_s=5)


def dump(file: Path) -> list[str]:
    connection = sqlite3.connect(file)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def rows(engine: Engine) -> dict[str, list[str]]:
    found = MetaData()
    found.reflect(engine)
    with engine.connect() as connection:
        return {
            name: sorted(str(sorted(row.items())) for row in connection.execute(select(table)).mappings())
            for name, table in found.tables.items()
            if name != "alembic_version"
        }


def test_models_and_migrations_agree(database: str) -> None:
    engine = connect(database, busy_timeout_s=5)
    bring_up_to_date(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
        assert revision(connection) == HEAD
    engine.dispose()


def test_head_is_the_newest_migration(engine: Engine) -> None:
    with engine.connect() as connection:
        assert ScriptDirectory.from_config(alembic_config(connection)).get_heads() == [HEAD]
    engine.dispose()


async def test_up_to_date_leaves_a_filled_database_as_it_is(tmp_path: Path, engine: Engine) -> None:
    async with SqlLedger(str(engine.url)) as ledger:
        await whole_turn(ledger)
    before = dump(tmp_path / "ledger.db")
    bring_up_to_date(engine)
    migrate(engine, HEAD)
    engine.dispose()
    assert dump(tmp_path / "ledger.db") == before


def test_looking_at_the_schema_makes_and_changes_nothing(tmp_path: Path, engine: Engine) -> None:
    url = str(engine.url)
    assert schema_of(url) is None
    assert not (tmp_path / "ledger.db").exists()
    migrate(engine, "0002")
    engine.dispose()
    assert schema_of(url) == "0002" == schema_of(url)


async def test_down_and_up_again(engine: Engine) -> None:
    async with SqlLedger(str(engine.url)) as ledger:
        await whole_turn(ledger)
    migrate(engine, "base")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all() == [
            "alembic_version"
        ]
    migrate(engine, HEAD)
    engine.dispose()
    async with SqlLedger(str(engine.url)) as ledger:
        await whole_turn(ledger)
        assert [log.turn.id for log in await ledger.turns()] == ["t1"]


async def test_a_new_file_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    for number in range(5):
        await _open_together([tmp_path / f"{number}.db"] * 6)


async def test_new_files_may_be_opened_at_once(tmp_path: Path) -> None:
    for number in range(3):
        await _open_together([tmp_path / f"{number}-{name}.db" for name in "abcdef"])


async def _open_together(files: list[Path]) -> None:
    async def once(file: Path) -> None:
        async with SqlLedger(f"sqlite:///{file}"):
            pass

    async with asyncio.TaskGroup() as group:
        for file in files:
            group.create_task(once(file))


def test_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    program = """
import sys
from consilium.errors import LedgerVersion
from consilium.ledger.connection import connect
from consilium.ledger.entries import ClosingEntry
from consilium.ledger.migrate import bring_up_to_date
for number in range(10):
    print("ready", flush=True)
    sys.stdin.readline()
    engine = connect(f"{sys.argv[1]}-{number}", busy_timeout_s=5)
    bring_up_to_date(engine)
    engine.dispose()
"""
    command = [sys.executable, "-W", "error", "-c", program, f"sqlite:///{tmp_path / 'new.db'}"]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for _ in range(10):
        assert [child.stdout.readline() for child in children if child.stdout] == ["ready\n"] * 2
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
    for child in children:
        child.communicate(timeout=30)
    assert [child.returncode for child in children] == [0, 0]


def test_a_broken_reference_stops_a_migration(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)")
        connection.exec_driver_sql("CREATE TABLE stray (id TEXT REFERENCES turns (id))")
        connection.commit()
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA foreign_keys=OFF").close()
        connection.exec_driver_sql("INSERT INTO stray VALUES ('nowhere')")
        connection.commit()
    with pytest.raises(LedgerVersion, match=r"stray.*Nothing changed"):
        migrate(engine, HEAD)
    with engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) == {"alembic_version", "stray"}
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


def test_constraints_are_named_as_in_the_models(engine: Engine) -> None:
    bring_up_to_date(engine)
    modelled = create_engine("sqlite://")
    Table.metadata.create_all(modelled)
    assert _constraints(engine) == _constraints(modelled)
    assert "ck_outcomes_score" in _constraints(modelled)
    for used in (engine, modelled):
        used.dispose()


def _constraints(engine: Engine) -> set[str | None]:
    with engine.connect() as connection:
        found = inspect(connection)
        return {
            constraint["name"]
            for table in Table.metadata.tables
            for constraint in (
                *found.get_check_constraints(table),
                *found.get_foreign_keys(table),
                *found.get_unique_constraints(table),
                *found.get_indexes(table),
                found.get_pk_constraint(table),
            )
        }


def test_a_database_that_is_up_to_date_needs_no_alembic(engine: Engine) -> None:
    program = """
import sys
from consilium.errors import LedgerVersion
from consilium.ledger.connection import connect
from consilium.ledger.entries import ClosingEntry
from consilium.ledger.migrate import bring_up_to_date
bring_up_to_date(connect(sys.argv[1], busy_timeout_s=5))
print("alembic" in sys.modules)
"""

    def imported() -> str:
        return subprocess.run(
            [sys.executable, "-c", program, str(engine.url)], check=True, timeout=30, stdout=subprocess.PIPE, text=True
        ).stdout.strip()

    assert [imported(), imported()] == ["True", "False"]  # the first had to make the tables


async def test_the_second_schema_goes_down_and_up_with_what_is_recorded(database: str) -> None:
    engine = connect(database, busy_timeout_s=5)
    async with SqlLedger(database) as ledger:
        await whole_turn(ledger)
        await ledger.record(outcome("t1"))
        await admit(ledger, "t2")
        await ledger.record(ClosingEntry(turn_id="t2", status="interrupted"))
        before = list(await ledger.turns())
    migrate(engine, "0001")
    older = rows(engine)
    migrate(engine, "0002")
    migrate(engine, "0001")
    assert rows(engine) == older  # nothing that the first schema holds is lost on the way
    migrate(engine, HEAD)
    engine.dispose()
    async with SqlLedger(database) as ledger:
        after = list(await ledger.turns())
    assert [log.turn.status for log in after] == ["concluded", "open"]
    assert [replace(log, turn=was.turn) for log, was in zip(after, before, strict=True)] == before
