"""Adapters brought ahead of their need, by the router's running averages."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from consilium import Council, MemoryLedger
from consilium.council.prefetch import Prefetch
from consilium.engines.scripted import ScriptedEngine
from consilium.errors import UnknownMember
from consilium.ledger.protocol import Ledger
from consilium.members.catalogue import Catalogue
from tests.support.council import FirstSeats
from tests.support.personas import write_catalogue, write_persona

NAMES = ("pilot", "mate", "cook", "diver", "smith", "tar")


@pytest.fixture
def crew(tmp_path: Path) -> Catalogue:
    root = tmp_path / "crew"
    root.mkdir()
    for name in NAMES:
        write_persona(root, name, "water", with_adapter=True)
    write_persona(root, "clerk", "shore")
    write_catalogue(root, {"shore": ["clerk"], "water": list(NAMES)}, fallback="clerk")
    return Catalogue.load(root)


class Watched(ScriptedEngine):
    """A scripted engine that notes what it is to have ready."""

    def __init__(self, *, gone: bool = False) -> None:
        self.gone = gone
        super().__init__({name: f"{name} here" for name in (*NAMES, "clerk")})
        self.readied: list[list[str]] = []

    async def ensure_ready(self, members: Sequence[str]) -> None:
        self.readied.append(list(members))
        if self.gone and self.readied[1:]:
            raise UnknownMember("nobody today")
        await super().ensure_ready(members)


def council(crew: Catalogue, engine: Watched, ledger: Ledger, adapters: int) -> Council:
    return Council.open(
        engine=engine, router=FirstSeats(crew), ledger=ledger, personas=crew.root, adapters=adapters, seats=1
    )


def test_the_highest_running_averages_are_wanted(crew: Catalogue) -> None:
    ahead = Prefetch(Watched(), crew, room=4)
    for scores in ({"tar": 1.0}, {"tar": 1.0}, {"cook": 1.0}):
        ahead.note(scores)
    assert ahead.wanted() == ["cook", "tar"], "half of the room, the likeliest last"
    for _ in range(20):
        ahead.note({"diver": 0.9, "cook": 0.1})
    assert ahead.wanted()[-1] == "diver"


async def test_where_all_have_room_all_are_loaded_at_the_start(crew: Catalogue) -> None:
    engine = Watched()
    async with council(crew, engine, MemoryLedger(), adapters=6) as asked:
        await asked.ask("How deep is it?")
    assert engine.readied == [["clerk", *NAMES]]


async def test_a_turn_brings_the_likeliest_and_the_next_council_begins_with_them(crew: Catalogue) -> None:
    ledger = MemoryLedger()
    engine = Watched()
    async with council(crew, engine, ledger, adapters=4) as asked:
        await asked.ask("How deep is it?")
        await asyncio.sleep(0.05)
    assert ["pilot"] in engine.readied
    again = Watched()
    async with council(crew, again, ledger, adapters=4) as asked:
        await asked.ask("And now?", members=["cook"])
    assert again.readied[0] == ["mate", "pilot"]


async def test_what_cannot_be_brought_ahead_harms_no_turn(crew: Catalogue, caplog: pytest.LogCaptureFixture) -> None:
    engine = Watched(gone=True)
    async with council(crew, engine, MemoryLedger(), adapters=2) as asked:
        for _ in range(3):
            turn = await asked.ask("How deep is it?")
    assert turn.verdict.text == "pilot here"
    assert "ahead of their need" in caplog.text
