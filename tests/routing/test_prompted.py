"""The base as a router, on a tiny base of its own and on a scripted one."""

from pathlib import Path

import pytest

from consilium.engines.scripted import ScriptedEngine
from consilium.members.catalogue import Catalogue
from consilium.routing.prompted import PromptedRouter
from consilium.routing.protocol import Request
from consilium.testing.router import RouterConformance


@pytest.fixture
def router(harbour: Path) -> PromptedRouter:
    catalogue = Catalogue.load(harbour)
    engine = ScriptedEngine({"clerk": lambda prompt: prompt.messages[-1].content, "pilot": "", "mate": ""})
    return PromptedRouter(engine, catalogue)


class TestPromptedRouter(RouterConformance):
    members = ("clerk", "pilot", "mate")

    @pytest.fixture
    async def router(self, router: PromptedRouter) -> PromptedRouter:
        await router._engine.__aenter__()
        return router


async def test_the_likeliest_name_sits_first_and_the_base_is_told_of_all(router: PromptedRouter) -> None:
    async with router._engine:
        for name in ("pilot", "mate"):
            decision = await router.route(Request(message=f"call the {name}", seats=2))
            assert decision.seats[0].member == name
    assert all(f"{name}: The {name}" in router._prompt for name in ("clerk", "pilot", "mate"))
