"""SQL of a user's own, read only."""

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from consilium.errors import BadInput

_READS = re.compile(r"\s*(select|with|values)\b", re.IGNORECASE)
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a query returned."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def ask_sql(connection: Connection, sql: str, limit: int) -> Answer:
    """Return the first ``limit`` rows of one query.

    What is asked is judged by the database, not by its wording: SQLite's authoriser lets nothing but reading pass, and
    PostgreSQL runs it in a read-only transaction, as one prepared statement.

    Raises:
        BadInput: it is not one query that only reads, or does not parse; nothing was changed.
    """
    if not _READS.match(sql):
        raise BadInput(f"sql={sql!r} is not a read. Begin it with SELECT, WITH or VALUES.")
    driver: Any = connection.connection.driver_connection
    try:
        if connection.dialect.name == "sqlite":
            return _ask_sqlite(driver, sql, limit)
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        cursor = driver.execute(sql, prepare=True)
        return Answer(columns=[column.name for column in cursor.description], rows=cursor.fetchmany(limit))
    except (sqlite3.Error, sqlite3.Warning, DBAPIError) as error:
        raise BadInput(f"sql={sql!r} cannot be answered: {error}. Correct it; nothing was changed.") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "psycopg":  # an extra: its errors cannot be named here
            raise
        raise BadInput(f"sql={sql!r} cannot be answered: {error}. Correct it; nothing was changed.") from error


def _ask_sqlite(driver: sqlite3.Connection, sql: str, limit: int) -> Answer:
    def authorise(action: int, *_what: str | None) -> int:
        return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY

    driver.set_authorizer(authorise)
    try:
        cursor = driver.execute(sql)
        found = Answer(columns=[column[0] for column in cursor.description], rows=cursor.fetchmany(limit))
        cursor.close()
        return found
    finally:
        driver.set_authorizer(None)
