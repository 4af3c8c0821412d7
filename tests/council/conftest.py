"""A council of three invented members who say what they are told to."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from consilium import Council, MemoryLedger, ScriptedEngine
from consilium.engines.scripted import Reply
from consilium.ledger.protocol import Ledger
from consilium.ledger.sql import SqlLedger
from consilium.members.catalogue import Catalogue
from tests.support.council import FirstSeats
from tests.support.postgres import new_database

SAID: dict[str, Reply] = {"pilot": "two fathoms", "mate": "Two fathoms.", "clerk": "about two fathoms"}

Open = Callable[..., Council]


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    if request.param == "memory":
        return MemoryLedger()
    if request.param == "postgresql":
        return SqlLedger(new_database(request.getfixturevalue("postgres")))
    return SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.fixture
def open_council(harbour: Path, ledger: Ledger) -> Open:
    """Open a council over the harbour's members; replies may be replaced."""

    def open_(*, engine: ScriptedEngine | None = None, **settings: object) -> Council:
        replies = {**SAID, **settings.pop("replies", {})}  # type: ignore[dict-item]
        return Council.open(
            engine=engine or ScriptedEngine(replies),
            router=FirstSeats(Catalogue.load(harbour)),
            ledger=settings.pop("ledger", ledger),  # type: ignore[arg-type]
            personas=harbour,
            **settings,
        )

    return open_


@pytest.fixture
async def council(open_council: Open) -> AsyncIterator[Council]:
    async with open_council() as council:
        yield council
