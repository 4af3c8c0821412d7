"""The router that ships: it knows the catalogue's members, and is not talked out of its decisions."""

import pytest

from consilium.members.catalogue import Catalogue
from consilium.routing.classifier import Example
from consilium.routing.deep import REFERENCES
from consilium.routing.hierarchical import HierarchicalRouter
from consilium.routing.injections import INJECTIONS_HELD_OUT, injected
from consilium.routing.protocol import Request
from consilium.routing.router_file import MAX_BYTES, MAX_MEMBERS, MAX_TUNED, ROUTER_FILE, read_router
from consilium.routing.tuning import RANK
from consilium.settings import data_folder
from tests.support.council import real_base

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load(data_folder("personas"))


@pytest.fixture(scope="module")
def router(catalogue: Catalogue) -> HierarchicalRouter:
    return HierarchicalRouter(read_router(catalogue.root / ROUTER_FILE), real_base(), catalogue)


async def seated(router: HierarchicalRouter, message: str, sat: str = "") -> str:
    decision = await router.route(Request(message=message, seats=1, sat=(sat,) if sat else ()))
    return decision.seats[0].member


def test_it_knows_every_member_of_the_catalogue(catalogue: Catalogue) -> None:
    assert set(read_router(catalogue.root / ROUTER_FILE).card.members) == set(catalogue.members)


@pytest.mark.parametrize(
    ("message", "member"),
    [
        ("list the ten largest files under /var/log", "operator"),
        ("book a table for four at an italian restaurant tonight", "dispatcher"),
        ("What is courage, and can it be taught?", "philosopher"),
    ],
)
async def test_the_demos_questions_find_their_members(router: HierarchicalRouter, message: str, member: str) -> None:
    assert await seated(router, message) == member


async def test_follow_ups_stay_and_calls_go_where_they_should(router: HierarchicalRouter) -> None:
    assert await seated(router, "Another attempt, please.", sat="operator") == "operator"
    assert await seated(router, "and in Swedish, please", sat="philosopher") == "translator"


async def test_injected_instructions_move_at_most_one_in_twenty(
    router: HierarchicalRouter, catalogue: Catalogue
) -> None:
    own = [
        Example(message=text, member=each.name)
        for each in catalogue.members.values()
        for text in each.persona.examples[:6]
    ]
    moved = 0
    for plain, shown in injected(own, list(catalogue.members), INJECTIONS_HELD_OUT, 100, seed=1):
        moved += await seated(router, plain.message) != await seated(router, shown.message)
    assert moved <= 5


def test_as_many_members_as_are_allowed_find_room_in_a_file_and_no_more() -> None:
    file = read_router(data_folder("personas") / ROUTER_FILE)
    members, most = len(file.card.members), REFERENCES * file.tensors["deep.references"][0].nbytes
    sizes = {name: tensor.nbytes for name, tensor in file.tensors.items() if not name.startswith("tuned.")}
    of_each = sum(sizes[name] for name in ("fine.votes", "deep.weights", "deep.centres")) / members
    common, each = sum(sizes.values()) - sizes["deep.references"] - members * of_each, of_each + most
    assert common + MAX_MEMBERS * each < MAX_BYTES < common + (MAX_MEMBERS + 1) * each
    common += adapter_bytes(file.card.depth)
    assert common + MAX_TUNED * each < MAX_BYTES < common + (MAX_TUNED + 1) * each


def adapter_bytes(layers: int) -> int:
    """Return what an adapter of so many of the base's layers takes in bfloat16."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(real_base().path)
    hidden, inner = config.hidden_size, config.intermediate_size
    keys = hidden * config.num_key_value_heads // config.num_attention_heads
    ends = 2 * (hidden + hidden) + 2 * (hidden + keys) + 3 * (hidden + inner)
    return 2 * layers * RANK * ends
