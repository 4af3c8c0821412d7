"""Fixtures that more than one part of the tests needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.personas import write_harbour
from tests.support.postgres import new_database, postgres_server


@pytest.fixture
def harbour(tmp_path: Path) -> Path:
    """Root of a valid catalogue of three invented members."""
    root = tmp_path / "personas"
    root.mkdir()
    return write_harbour(root)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server."""
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, of each kind that a ledger may lie in."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return new_database(request.getfixturevalue("postgres"))
