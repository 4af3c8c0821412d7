"""How adapters fared while a council was open, in the ledger."""

from pathlib import Path

from consilium import Council
from consilium.engines.vllm.engine import VllmEngine
from consilium.ledger.entries import TierEntry
from consilium.ledger.sql import SqlLedger
from consilium.members.catalogue import Catalogue
from tests.support.council import FirstSeats
from tests.support.tiny import write_base_of_adapters
from tests.support.vllm import FakeVllm


async def test_what_a_council_counted_of_each_tier_stands_in_the_ledger(harbour: Path, tmp_path: Path) -> None:
    crew, url = Catalogue.load(harbour), f"sqlite:///{tmp_path / 'l.db'}"
    server = FakeVllm(base=write_base_of_adapters(tmp_path / "base"))
    async with server.running():
        engine = VllmEngine(server.base, crew, [server.url])
        for turns in (2, 1):
            async with Council.open(
                engine=engine, router=FirstSeats(crew), personas=harbour, database=url, seats=2
            ) as council:
                for _ in range(turns):
                    await council.ask("How deep is it?")
            engine = VllmEngine(server.base, crew, [server.url])
    async with SqlLedger(url) as ledger:
        first, second = await ledger.tiers()
    assert (first.place, first.tier, first.capacity) == (server.url, "memory", 64)
    assert (first.loads, first.ahead, first.hits) == (2, 2, 4), "two that were loaded at the start, and two turns"
    assert (second.loads, second.hits) == (0, 2), "the server has them already"
    assert first.load_ms > 0
    assert first.run != second.run


async def test_an_entry_is_kept_once(tmp_path: Path) -> None:
    noted = TierEntry(
        run="r", place="here", tier="engine", capacity=32, hits=1, loads=2, ahead=0, given_back=0, load_ms=1.5
    )
    async with SqlLedger(f"sqlite:///{tmp_path / 'l.db'}") as ledger:
        for _ in range(2):
            assert await ledger.record(noted) == (noted,)
        assert await ledger.tiers() == [noted]
