"""LangGraph's own checkpoint savers, strictly set up: in a file beside the ledger's, or in its PostgreSQL database."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from consilium.errors import LedgerError, MissingExtra
from consilium.settings import restrict_checkpoints

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

_SETUP_LOCK = 0x636865636B  # any number that no other user of the database takes
_CONNECTIONS = 8  # a turn writes its checkpoint once, at its end


@asynccontextmanager
async def open_saver(place: Path | str | None) -> "AsyncIterator[BaseCheckpointSaver[str] | None]":
    """Open the saver on a SQLite file or a PostgreSQL URL; None keeps no checkpoints, and is no saver.

    Only JSON primitives may come out of a checkpoint: the default serializer would import and call whatever a crafted
    row names. Checkpoints may be deleted at any time; the ledger is the truth.

    Raises:
        MissingExtra: PostgreSQL's driver is not installed.
        LedgerError: the server cannot be reached.
    """
    restrict_checkpoints()
    if place is None:
        yield None
        return
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    strict = JsonPlusSerializer(allowed_msgpack_modules=None)
    async with _in_file(place, strict) if isinstance(place, Path) else _on_server(place, strict) as saver:
        yield saver


@asynccontextmanager
async def _in_file(file: Path, strict: "JsonPlusSerializer") -> "AsyncIterator[BaseCheckpointSaver[str]]":
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    connecting = aiosqlite.connect(file)
    # A script that never closes its council must still end; aiosqlite's thread would be waited for.
    connecting._thread.daemon = True
    async with connecting as connection:
        saver = AsyncSqliteSaver(connection, serde=strict)
        try:
            await saver.setup()
            # What is lost with the power here is made anew from the ledger, whose own file syncs at every commit.
            await connection.execute("PRAGMA synchronous=NORMAL")
        except sqlite3.Error as error:
            raise LedgerError(
                f"the checkpoints at {file} cannot be used: {error}. Remove the file; the ledger has all that counts."
            ) from error
        yield saver


@asynccontextmanager
async def _on_server(url: str, strict: "JsonPlusSerializer") -> "AsyncIterator[BaseCheckpointSaver[str]]":
    try:
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
        from psycopg import AsyncConnection, OperationalError
        from psycopg.rows import DictRow, dict_row
        from psycopg_pool import AsyncConnectionPool
    except ImportError as error:
        raise MissingExtra("a PostgreSQL ledger needs psycopg: pip install 'consilium[postgres]'") from error
    asked = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
        url, kwargs=asked, min_size=1, max_size=_CONNECTIONS, open=False
    )
    try:
        await pool.open(wait=True)
    except OperationalError as error:
        raise LedgerError(f"the checkpoints' database cannot be reached: {error}. Start it.") from error
    async with pool:
        saver = AsyncPostgresSaver(pool, serde=strict)
        async with pool.connection() as connection:  # two that make the same tables at once would fail
            await connection.execute("SELECT pg_advisory_lock(%s)", (_SETUP_LOCK,))
            try:
                await AsyncPostgresSaver(connection, serde=strict).setup()
            finally:
                await connection.execute("SELECT pg_advisory_unlock(%s)", (_SETUP_LOCK,))
        yield saver
