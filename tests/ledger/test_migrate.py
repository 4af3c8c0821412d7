"""Migrations go up and down, and the models say what the migrations made."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from consilium.ledger.connection import connect
from consilium.ledger.migrate import HEAD, alembic_config, bring_up_to_date, migrate, revision
from consilium.ledger.orm import Table
from consilium.ledger.sql import SqlLedger
from consilium.testing.ledger import whole_turn


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return connect(f"sqlite:///{tmp_path / 'ledger.db'}", busy_timeout_s=5)


def dump(file: Path) -> list[str]:
    connection = sqlite3.connect(file)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def test_models_and_migrations_agree(engine: Engine) -> None:
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


async def test_two_openings_of_a_new_file_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"

    async def once() -> None:
        async with SqlLedger(url):
            pass

    await asyncio.gather(once(), once(), once())
