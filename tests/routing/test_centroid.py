"""The nearest-centroid router, on the real base's embeddings and the shipped personas."""

import asyncio
from dataclasses import replace

import pytest

from consilium.members.catalogue import Catalogue
from consilium.routing.centroid import CentroidRouter
from consilium.routing.protocol import Request
from consilium.settings import data_folder
from consilium.testing.router import RouterConformance
from tests.support.council import real_base

pytestmark = pytest.mark.model

SHIPPED = Catalogue.load(data_folder("personas"))


@pytest.fixture(scope="module")
def centroid() -> CentroidRouter:
    return CentroidRouter(real_base(), SHIPPED)


class TestCentroidRouter(RouterConformance):
    members = tuple(SHIPPED.members)

    @pytest.fixture
    def router(self, centroid: CentroidRouter) -> CentroidRouter:
        return centroid


@pytest.mark.parametrize(
    ("message", "member"),
    [
        ("find every shell script under the current directory and make it executable", "operator"),
        ("please put on the latest record by that band", "dispatcher"),
        ("Is it ever just to harm one's enemies?", "philosopher"),
        ("Define patience.", "cynic"),
    ],
)
async def test_clear_requests_find_their_member(centroid: CentroidRouter, message: str, member: str) -> None:
    decision = await centroid.route(Request(message=message, seats=3))
    assert decision.seats[0].member == member
    assert not decision.abstained


async def test_a_specialists_own_examples_find_it(centroid: CentroidRouter) -> None:
    """Those of the base are about anything, so that their mean is near none of them."""
    right = total = 0
    for name in set(SHIPPED.members) - {SHIPPED.fallback}:
        for text in SHIPPED.get(name).persona.examples:
            decision = await centroid.route(Request(message=text, seats=1))
            right += decision.seats[0].member == name
            total += 1
    assert right / total > 0.9


async def test_what_fits_nobody_goes_to_the_bare_base() -> None:
    few = {name: SHIPPED.get(name) for name in ("base", "operator", "philosopher")}
    catalogue = Catalogue(root=SHIPPED.root, members=few, groups={}, fallback="base")
    decision = await CentroidRouter(real_base(), catalogue).route(Request(message="Huset är rött.", seats=3))
    assert decision.abstained
    assert [choice.member for choice in decision.seats] == [SHIPPED.fallback]


@pytest.mark.parametrize("message", ["", "play \udcff", "\x00", "漢字", "word " * 10_000])
async def test_any_message_is_decided(centroid: CentroidRouter, message: str) -> None:
    assert (await centroid.route(Request(message=message, seats=3))).seats


async def test_decisions_do_not_depend_on_what_came_before(centroid: CentroidRouter) -> None:
    first = await centroid.route(Request(message="Define patience.", seats=3))
    await asyncio.gather(*(centroid.route(Request(message=f"play song {n}", seats=3)) for n in range(8)))
    assert await centroid.route(Request(message="Define patience.", seats=3)) == first


def test_a_member_that_may_speak_longer_makes_another_router(centroid: CentroidRouter) -> None:
    operator = SHIPPED.get("operator")
    sampling = operator.persona.sampling.model_copy(update={"max_tokens": 300})
    longer = replace(operator, persona=operator.persona.model_copy(update={"sampling": sampling}))
    members = {**SHIPPED.members, "operator": longer}
    other = Catalogue(root=SHIPPED.root, members=members, groups=SHIPPED.groups, fallback="base")
    assert CentroidRouter(real_base(), other).digest() != centroid.digest()


def test_other_examples_make_another_router(centroid: CentroidRouter) -> None:
    other = Catalogue(root=SHIPPED.root, members=dict(list(SHIPPED.members.items())[:3]), groups={}, fallback="base")
    assert CentroidRouter(real_base(), other).digest() != centroid.digest()
