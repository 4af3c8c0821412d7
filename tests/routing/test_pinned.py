"""Named members sit; all else is left to another router."""

from pathlib import Path

import pytest

from consilium.errors import UnknownMember
from consilium.members.catalogue import Catalogue
from consilium.routing.pinned import PinnedRouter
from consilium.routing.protocol import Request
from consilium.testing.router import RouterConformance
from tests.support.council import FirstSeats


@pytest.fixture
def router(harbour: Path) -> PinnedRouter:
    catalogue = Catalogue.load(harbour)
    return PinnedRouter(catalogue, FirstSeats(catalogue))


class TestPinnedRouter(RouterConformance):
    members = ("clerk", "pilot", "mate")

    @pytest.fixture
    def router(self, router: PinnedRouter) -> PinnedRouter:
        return router


async def test_named_members_sit_in_the_callers_order(router: PinnedRouter) -> None:
    decision = await router.route(Request(message="hello", members=("mate", "pilot"), seats=1))
    assert decision.router == "pinned"
    assert [(choice.member, round(choice.weight, 2)) for choice in decision.seats] == [("mate", 0.33), ("pilot", 0.67)]
    assert decision.propensities == {"clerk": 0.0, "mate": 1.0, "pilot": 1.0}


async def test_members_that_the_router_would_never_seat_share_evenly(router: PinnedRouter) -> None:
    decision = await router.route(Request(message="hello", members=("clerk",), seats=1))
    assert [(choice.member, choice.weight) for choice in decision.seats] == [("clerk", 1.0)]


async def test_unknown_names_are_refused(router: PinnedRouter) -> None:
    with pytest.raises(UnknownMember, match=r"'pilto'.*'pilot'"):
        await router.route(Request(message="hello", members=("pilto",), seats=1))
