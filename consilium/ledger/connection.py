"""Opening a database the way the ledger needs it, and its errors in plain words."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError, StatementError

from consilium.errors import (
    BadInput,
    BadSettings,
    ConsiliumError,
    LedgerDamaged,
    LedgerError,
    LedgerFull,
    LedgerLocked,
    LedgerReadOnly,
    MissingExtra,
    UnknownTurn,
)
from consilium.settings import without_password

# SQLite's result codes and PostgreSQL's SQLSTATEs
_UNKNOWN: set[object] = {sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, "23503"}
_LOCKED: set[object] = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, "55P03", "40P01"}
_UNWRITABLE: set[object] = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, "25006", "42501"}
_DAMAGED: set[object] = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, "XX001", "XX002"}
_FULL: set[object] = {sqlite3.SQLITE_FULL, "53100"}


def parsed(url: str) -> URL:
    """Return a database's URL in its parts.

    Raises:
        BadSettings: it is none.
    """
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        shown = without_password(url)
        raise BadSettings(f"database={shown!r} is no SQLAlchemy URL. Write e.g. 'sqlite:///council.db'.") from error


def there(url: str) -> bool:
    """Say whether there may be something in a ledger; looking into a file that is not there would make it.

    Raises `BadSettings` where the URL is none.
    """
    address = parsed(url)
    return address.get_backend_name() != "sqlite" or bool(address.database and Path(address.database).exists())


def connect(url: str, *, busy_timeout_s: float) -> Engine:
    """Return an engine for ``url``; nothing is opened yet.

    Connections that are to write carry the execution option ``writes``. Neither SQLAlchemy's log nor its errors show
    the values of a statement: they are what people said.

    Raises:
        BadSettings: the URL is none, or names another database or driver than the ledger can use.
        MissingExtra: PostgreSQL's driver is not installed.
    """
    address, engine = parsed(url), None
    try:
        if address.get_backend_name() in ("sqlite", "postgresql"):
            engine = create_engine(address, hide_parameters=True)
    except NoSuchModuleError:
        pass  # said below
    except ModuleNotFoundError as error:
        raise MissingExtra("a PostgreSQL ledger needs psycopg: pip install 'consilium[postgres]'") from error
    if engine is None or engine.dialect.is_async:
        shown = without_password(url)
        raise BadSettings(f"database={shown!r} cannot be used. Write 'sqlite:///…' or 'postgresql+psycopg://…'.")
    prepare = _prepare_sqlite if engine.dialect.name == "sqlite" else _prepare_postgresql
    prepare(engine, busy_timeout_s)
    return engine


def _prepare_postgresql(engine: Engine, busy_timeout_s: float) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:  # noqa: ANN401 -- psycopg is an extra
        connection.execute(f"SET lock_timeout = {int(busy_timeout_s * 1_000)}")
        connection.commit()


def _prepare_sqlite(engine: Engine, busy_timeout_s: float) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        # Python 3.11's driver begins no transaction before SELECT or DDL; ours begin by hand, below.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={int(busy_timeout_s * 1_000)}").close()
        connection.execute("PRAGMA foreign_keys=ON").close()
        _enter_wal(connection, busy_timeout_s)
        # NORMAL does not sync at commit in WAL mode: power loss would take turns back.
        connection.execute("PRAGMA synchronous=FULL").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A read transaction that turns into a write fails at once where another process writes: ask for the lock first.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _enter_wal(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    # Whoever opens a file first converts it. While another process writes, SQLite refuses that at once: the busy
    # time-out does not cover it.
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError as error:
            if not _codes(error) & _LOCKED or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn the database's errors into the ledger's."""
    try:
        yield
    except ConsiliumError:
        raise  # some of ours are OSError or ValueError too
    except StatementError as error:
        raise _typed(error, url) from error
    except (UnicodeEncodeError, OverflowError) as error:  # the driver's own, and SQLAlchemy leaves them as they are
        raise _refused(error) from error
    except OSError as error:
        raise LedgerReadOnly(f"the ledger at {url} cannot be opened: {error}. Name another database.") from error


def _refused(cause: object) -> BadInput:
    return BadInput(f"an entry holds a value that the ledger cannot keep ({cause}); nothing was written. Correct it.")


def _codes(cause: object) -> set[object]:
    """Return all that a driver's error may be known by."""
    code = getattr(cause, "sqlite_errorcode", 0)
    return {code, code & 0xFF, getattr(cause, "sqlstate", None)}  # SQLite: the low byte is the family


def _typed(error: StatementError, url: str) -> ConsiliumError:
    cause, codes = " ".join(str(error.orig).split()), _codes(error.orig)  # PostgreSQL's fill several lines
    if codes & _UNKNOWN:
        return UnknownTurn(
            f"an entry names a turn, seat or member that the ledger does not hold ({cause}); nothing was written."
        )
    if isinstance(error, IntegrityError | DataError) or not isinstance(error, DBAPIError):
        return _refused(cause)
    if codes & _LOCKED:
        return LedgerLocked(f"the ledger at {url} is locked by another process ({cause}). Wait for it, or end it.")
    if codes & _UNWRITABLE:
        return LedgerReadOnly(f"the ledger at {url} cannot be written ({cause}). Mend its rights, or name another one.")
    if codes & _DAMAGED:
        return LedgerDamaged(f"the file at {url} is damaged or no database ({cause}). Restore it, or name another one.")
    if codes & _FULL:
        return LedgerFull(f"no room is left for the ledger at {url} ({cause}); nothing was written. Make room.")
    return LedgerError(f"the ledger at {url} failed: {cause}.")


def file_of(engine: Engine) -> Path | None:
    """Return the file of a SQLite database; None where it is in memory or on a server."""
    database = engine.url.database
    if engine.dialect.name != "sqlite" or not database or database == ":memory:" or database.startswith("file:"):
        return None
    return Path(database)


def make_folder(engine: Engine) -> None:
    """Make the folder of a SQLite file. Raises `OSError` where it cannot be made."""
    if (file := file_of(engine)) is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
