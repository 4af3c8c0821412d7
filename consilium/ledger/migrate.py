"""Bringing a database's schema to this version's, with Alembic."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from sqlalchemy import Connection, Engine, inspect, text

from consilium.errors import LedgerVersion
from consilium.ledger.connection import connect, make_folder, there, translated
from consilium.settings import data_folder

if TYPE_CHECKING:
    import sqlite3

    from alembic.config import Config

HEAD = "0004"
"""The newest revision in ``storage/alembic/versions``. Alembic itself is only imported where there is work for it."""

BUSY_TIMEOUT_S = 5.0
"""How long to wait for whoever is at the database."""

# Alembic keeps its context in globals of the process, and each ledger migrates on a thread of its own.
_ALEMBIC = threading.Lock()
_POSTGRESQL_LOCK = 0x636F6E73  # any number that no other user of the database takes


def bring_up_to_date(engine: Engine) -> None:
    """Create or upgrade the schema; a database that is up to date costs one query.

    Raises:
        LedgerVersion: the schema is newer than this version, or none of ours.
    """
    make_folder(engine)
    with engine.begin() as connection:
        found = revision(connection)
    if found != HEAD:
        migrate(engine, HEAD)


def schema_of(url: str) -> str | None:
    """Return the schema's revision of a ledger; None where there is none yet. Makes and changes nothing.

    Raises:
        LedgerError: the database cannot be read, or is none of ours.
        BadSettings: the URL is none, or names a database that the ledger cannot use.
    """
    if not there(url):
        return None
    engine = connect(url, busy_timeout_s=BUSY_TIMEOUT_S)
    try:
        with translated(engine.url.render_as_string(hide_password=True)), engine.begin() as connection:
            return revision(connection)
    finally:
        engine.dispose()


def revision(connection: Connection) -> str | None:
    """Return the schema's revision; None for an empty database."""
    tables = inspect(connection).get_table_names()
    if "alembic_version" in tables:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if tables:
        raise LedgerVersion(
            f"the database at {connection.engine.url.render_as_string()} holds {tables[0]!r} and other tables that are "
            "not a ledger's. Name another database."
        )
    return None


def migrate(engine: Engine, target: str) -> None:
    """Upgrade or downgrade to ``target`` ("base" empties the database) in one transaction.

    Raises:
        LedgerVersion: the database is at a revision that this version does not know.
    """
    from alembic import command
    from alembic.script import ScriptDirectory

    with _ALEMBIC, _alone(engine) as connection:
        found = revision(connection)  # again, under the lock: another process may have been faster
        config = alembic_config(connection)
        known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
        if found is not None and found not in known:
            raise LedgerVersion(
                f"the database at {engine.url.render_as_string()} has schema {found!r}; this version of Consilium "
                f"knows up to {HEAD!r}. Upgrade consilium, or name another database."
            )
        if target == "base" or (found is not None and found > target):
            command.downgrade(config, target)
        elif found != target:
            command.upgrade(config, target)


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """Hold the only transaction that may change the schema."""
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            with connection.begin():
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRESQL_LOCK})
                yield connection
            return
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        # Batch migrations drop and recreate tables; the switch has no effect inside a transaction.
        driver.execute("PRAGMA foreign_keys=OFF").close()
        try:
            with connection.execution_options(writes=True).begin():
                yield connection
                if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise LedgerVersion(f"migrating would break a reference: {tuple(broken)}. Nothing changed.")
        finally:
            driver.execute("PRAGMA foreign_keys=ON").close()


def alembic_config(connection: Connection) -> "Config":
    """Return Alembic's configuration for an open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(data_folder("storage") / "alembic").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
