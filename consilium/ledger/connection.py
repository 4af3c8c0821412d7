"""Opening a database the way the ledger needs it, and its errors in plain words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from consilium.errors import BadSettings, LedgerError, LedgerLocked, LedgerReadOnly, MissingExtra

_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
_DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


def connect(url: str, *, busy_timeout_s: float) -> Engine:
    """Return an engine for ``url``; nothing is opened yet.

    Connections that are to write carry the execution option ``writes``.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise BadSettings(f"database={url!r}: only sqlite and postgresql are supported. Name one of these.")
        engine = create_engine(parsed)
    except (ArgumentError, NoSuchModuleError) as error:
        raise BadSettings(f"database={url!r} is no SQLAlchemy URL. Write e.g. 'sqlite:///council.db'.") from error
    except ModuleNotFoundError as error:
        raise MissingExtra("a PostgreSQL ledger needs psycopg: pip install 'consilium[postgres]'") from error
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine, busy_timeout_s)
    return engine


def _prepare_sqlite(engine: Engine, busy_timeout_s: float) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        # Python 3.11's driver begins no transaction before SELECT or DDL; ours begin by hand, below.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={int(busy_timeout_s * 1_000)}",
            "foreign_keys=ON",
            "journal_mode=WAL",
            "synchronous=FULL",  # NORMAL does not sync at commit in WAL mode: power loss would take turns back
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A read transaction that turns into a write fails at once where another process writes: ask for the lock first.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn the database's errors into the ledger's."""
    try:
        yield
    except DBAPIError as error:
        raise _typed(error.orig, url) from error
    except OSError as error:
        raise LedgerReadOnly(f"the ledger at {url} cannot be opened: {error}. Name another database.") from error


def _typed(cause: Any, url: str) -> LedgerError:  # noqa: ANN401 -- the driver's own error
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # the low byte; the rest says more than we need
    if code in _LOCKED:
        return LedgerLocked(f"the ledger at {url} is locked by another process ({cause}). Wait for it, or end it.")
    if code in _UNWRITABLE:
        return LedgerReadOnly(f"the ledger at {url} cannot be written ({cause}). Mend its rights, or name another one.")
    if code in _DAMAGED:
        return LedgerError(f"the file at {url} is damaged or no database ({cause}). Restore it, or name another one.")
    return LedgerError(f"the ledger at {url} failed: {cause}.")


def make_folder(engine: Engine) -> None:
    """Make the folder of a SQLite file. Raises `OSError` where it cannot be made."""
    database = engine.url.database
    if engine.dialect.name == "sqlite" and database and database != ":memory:" and not database.startswith("file:"):
        Path(database).parent.mkdir(parents=True, exist_ok=True)
