"""Adapters on a server: loaded once, kept while they are spoken with, and given back in the order of their use."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consilium.engines.vllm.adapters import ServedAdapters
from consilium.engines.vllm.server import Server
from consilium.errors import AdapterMissing
from consilium.members.base import Base
from consilium.members.catalogue import Catalogue, Member
from tests.support.personas import write_catalogue, write_persona
from tests.support.tiny import write_base_of_adapters
from tests.support.vllm import FakeVllm

NAMES = ("pilot", "mate", "cook", "diver")


@pytest.fixture
def crew(tmp_path: Path) -> Catalogue:
    root = tmp_path / "personas"
    root.mkdir()
    for name in NAMES:
        write_persona(root, name, "water", with_adapter=True)
    write_persona(root, "clerk", "shore")
    write_catalogue(root, {"shore": ["clerk"], "water": list(NAMES)}, fallback="clerk")
    return Catalogue.load(root)


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[FakeVllm]:
    base: Base = write_base_of_adapters(tmp_path / "base")
    async with FakeVllm(base=base).running() as server:
        yield server


def members(crew: Catalogue, *names: str) -> list[Member]:
    return [crew.get(name) for name in names]


async def test_many_that_need_the_same_load_it_once(crew: Catalogue, fake: FakeVllm) -> None:
    adapters = ServedAdapters(Server(fake.url), crew.root, crew.root)
    await asyncio.gather(*(adapters.ensure(crew.get("pilot")) for _ in range(8)))
    assert (adapters.tier.tally.loads, adapters.tier.tally.hits) == (1, 7)
    assert adapters.tier.tally.load_ms > 0
    await adapters.ensure(crew.get("clerk"))
    assert fake.adapters == [crew.get("pilot").content_name]


async def test_the_least_recently_used_makes_room_but_never_one_in_hand_or_pinned(
    crew: Catalogue, fake: FakeVllm
) -> None:
    pilot, mate, cook, diver = (member.content_name for member in members(crew, *NAMES))
    adapters = ServedAdapters(Server(fake.url), crew.root, crew.root, pinned=[mate], capacity=2)
    for member in members(crew, "pilot", "mate"):
        await adapters.ensure(member)
    adapters.tier.take(pilot)
    await adapters.ensure(crew.get("cook"))
    assert adapters.tier.names == [pilot, mate, cook], "rather too many than one that is in use"
    adapters.tier.give_back(pilot)
    await adapters.ensure(crew.get("pilot"))
    await adapters.ensure(crew.get("diver"))
    assert adapters.tier.names == [mate, diver]
    assert sorted(fake.adapters) == sorted([mate, diver])
    assert (adapters.tier.tally.loads, adapters.tier.tally.given_back) == (4, 2)


async def test_where_the_folder_lies_elsewhere_for_the_server_its_path_is_told(crew: Catalogue, fake: FakeVllm) -> None:
    await ServedAdapters(Server(fake.url), crew.root, Path("/srv/crew")).ensure(crew.get("pilot"))
    assert fake.asked[-1][1]["lora_path"] == "/srv/crew/pilot/adapter"


async def test_a_server_that_takes_none_is_asked_once(crew: Catalogue, fake: FakeVllm) -> None:
    fake.takes_adapters = False
    adapters = ServedAdapters(Server(fake.url), crew.root, crew.root)
    for member in members(crew, *NAMES):
        await adapters.ensure(member)
    assert fake.count("/v1/load_lora_adapter") == 1
    assert adapters.tier.tally.loads == 0


async def test_a_folder_that_the_server_does_not_see_is_missing(crew: Catalogue, fake: FakeVllm) -> None:
    fake.sees_folders = False
    with pytest.raises(AdapterMissing, match="does not serve"):
        await ServedAdapters(Server(fake.url), crew.root, crew.root).ensure(crew.get("pilot"))
