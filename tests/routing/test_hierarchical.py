"""The hierarchical router on a tiny base: made, written, read, and asked."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from consilium.errors import BadSettings
from consilium.members.base import Base
from consilium.members.catalogue import Catalogue
from consilium.routing.cascade import joined
from consilium.routing.deep import StateEncoder
from consilium.routing.hierarchical import HierarchicalRouter
from consilium.routing.making import ASKED, certainty, make_router, weighed
from consilium.routing.protocol import Request
from consilium.routing.regret import Regret
from consilium.routing.router_file import MAX_BYTES, RouterTensors, read_router, write_router
from consilium.routing.states import KeptStates
from consilium.testing.router import RouterConformance
from tests.support.personas import write_catalogue, write_persona
from tests.support.routers import DEV, EXAMPLES, GROUP_OF, SETTINGS, TOLD, asked, small_router, write_crew_of
from tests.support.tiny import write_tiny_base


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return write_tiny_base(tmp_path_factory.mktemp("base"), num_hidden_layers=3)


@pytest.fixture(scope="module")
def file(base: Base, tmp_path_factory: pytest.TempPathFactory) -> RouterTensors:
    return small_router(base, tmp_path_factory.mktemp("router") / "router.safetensors")


@pytest.fixture(scope="module")
def fitted(file: RouterTensors, base: Base, tmp_path_factory: pytest.TempPathFactory) -> HierarchicalRouter:
    return HierarchicalRouter(file, base, write_crew_of(tmp_path_factory.mktemp("crew")))


class TestHierarchicalRouter(RouterConformance):
    members = tuple(GROUP_OF)

    @pytest.fixture
    def router(self, fitted: HierarchicalRouter) -> HierarchicalRouter:
        return fitted


async def test_unseen_requests_find_their_member_and_say_how(fitted: HierarchicalRouter) -> None:
    for member in GROUP_OF:
        explanation = await fitted.explain(Request(message=asked(member, 77), seats=1))
        assert explanation.decision.seats[0].member == member
        assert float(explanation.fast.members.mixed.sum()) == pytest.approx(1, abs=1e-4)
        assert explanation.pulls[0][0] == TOLD[member]
        assert (explanation.members, explanation.groups) == (tuple(GROUP_OF), ("desk", "crew"))
        assert explanation.prices["pilot"] == pytest.approx(0.0023 * 128)


async def test_routers_that_share_what_is_read_decide_as_each_would_alone(
    file: RouterTensors, base: Base, tmp_path: Path
) -> None:
    crew, states = write_crew_of(tmp_path, "cook"), KeptStates(StateEncoder(base, file.card.depth), base.name, None)
    told: list[str] = []

    def read(messages: Sequence[str]) -> torch.Tensor:
        told.extend(messages)
        return states(messages)

    always = file.model_copy(update={"card": file.card.model_copy(update={"certain": 2.0})})
    alone, sharing = HierarchicalRouter(always, base, crew), HierarchicalRouter(always, base, crew, read=read)
    for member in GROUP_OF:
        request = Request(message=asked(member, 5), seats=1)
        one, other = await alone.route(request), await sharing.route(request)
        assert other.scores == pytest.approx(one.scores, abs=1e-5)
        assert told[-1] == request.message


async def test_the_deep_stage_is_asked_only_where_the_fast_one_is_unsure(
    file: RouterTensors, base: Base, tmp_path: Path
) -> None:
    crew, request = write_crew_of(tmp_path), Request(message=asked("mate", 3), seats=1)
    for certain, used in ((0.0, False), (2.0, True)):
        card = file.card.model_copy(update={"certain": certain})
        router = HierarchicalRouter(file.model_copy(update={"card": card}), base, crew)
        assert ((await router.explain(request)).deep is not None) == used


async def test_a_newcomer_is_found_by_its_examples(file: RouterTensors, base: Base, tmp_path: Path) -> None:
    router = HierarchicalRouter(file, base, write_crew_of(tmp_path, "cook"))
    right = 0
    for name in TOLD:
        for number in range(60, 70):
            decision = await router.route(Request(message=asked(name, number), seats=1))
            right += decision.seats[0].member == name
    assert right >= 32
    assert sorted(decision.scores) == sorted(TOLD)


async def test_newcomers_are_known_also_where_the_first_reading_of_their_examples_failed(
    file: RouterTensors, base: Base, tmp_path: Path
) -> None:
    states = KeptStates(StateEncoder(base, file.card.depth), base.name, None)
    failures = [OSError("the disk is gone")]

    def read(messages: Sequence[str]) -> torch.Tensor:
        if len(messages) > 1 and failures:
            raise failures.pop()
        return states(messages)

    router = HierarchicalRouter(file, base, write_crew_of(tmp_path, "cook"), read=read)
    request = Request(message=asked("cook", 60), seats=1)
    with pytest.raises(OSError, match="the disk is gone"):
        await router.route(request)
    assert (await router.route(request)).seats[0].member == "cook"


async def test_a_follow_up_stays_with_whoever_has_just_answered(base: Base, tmp_path: Path) -> None:
    """Also with a newcomer; a request for another member goes there, and a stranger is nobody to stay with."""
    card, tensors = make_router(
        EXAMPLES, DEV, GROUP_OF, base, stays=[f"w15 w{number}" for number in range(100, 130)], settings=SETTINGS
    )
    file = RouterTensors(card=card, tensors=tensors, digest="")
    router = HierarchicalRouter(file, base, write_crew_of(tmp_path, "cook"))
    for sat in (*TOLD, "stranger"):
        found = await router.explain(Request(message="w15 w140", seats=1, sat=(sat,)))
        assert found.decision.seats[0].member == sat or sat == "stranger"
        assert (found.stay > 0.5) == (sat in TOLD)
    called = await router.explain(Request(message=asked("pilot", 70), seats=1, sat=("mate",)))
    assert called.decision.seats[0].member == "pilot"
    assert called.stay < 0.5


async def test_caution_sends_first_requests_alone_to_the_fallback(base: Base, tmp_path: Path) -> None:
    """What is said after an answer stays with whoever gave it, or goes to whom it calls."""
    card, tensors = make_router(
        EXAMPLES, DEV, GROUP_OF, base, stays=[f"w15 w{number}" for number in range(100, 130)], settings=SETTINGS
    )
    costly = Regret(
        means=torch.tensor([[0.0, 8.0, 8.0], [1.0, 0.0, 8.0], [1.0, 8.0, 0.0]]),
        fallback=torch.tensor(list(GROUP_OF).index("clerk")),
        caution=torch.tensor(1e20),
    )
    file = RouterTensors(card=card, tensors={**tensors, **costly.tensors()}, digest="")
    router = HierarchicalRouter(file, base, write_crew_of(tmp_path))
    for sat in ("pilot", "mate"):
        follow_up = await router.route(Request(message="w15 w140", seats=1, sat=(sat,)))
        assert follow_up.seats[0].member == sat
    request = Request(message=asked("pilot", 70), seats=1)
    assert (await router.route(request)).abstained
    called = await router.route(replace(request, sat=("mate",)))
    assert called.seats[0].member == "pilot"


async def test_whoever_a_message_names_is_not_seated_for_it(fitted: HierarchicalRouter) -> None:
    for named in ("mate", "clerk"):
        plain, shown = asked("pilot", 70), f"{asked('pilot', 70)}\nThis one is for {named}."
        decisions = [await fitted.route(Request(message=message, seats=1)) for message in (plain, shown)]
        assert decisions[0].scores == decisions[1].scores


@pytest.mark.parametrize(
    "message", ["", " ", "x", "word " * 10_000, "\x00\x01\xff", "漢字かな交じり文", "\udcff", "🛶" * 300]
)
async def test_any_message_is_decided(fitted: HierarchicalRouter, message: str) -> None:
    decision = await fitted.route(Request(message=message, seats=2, history=("w1",), sat=("mate",)))
    assert decision.seats


def test_decisions_and_digests_are_the_same_each_time(file: RouterTensors, base: Base, tmp_path: Path) -> None:
    one, other = (HierarchicalRouter(file, base, write_crew_of(tmp_path)) for _ in range(2))
    assert one.digest() == other.digest()
    more = HierarchicalRouter(file, base, write_crew_of(tmp_path / "more", "cook"))
    assert more.digest() != one.digest()


def test_a_router_of_strangers_or_of_another_base_is_refused(file: RouterTensors, base: Base, tmp_path: Path) -> None:
    write_persona(tmp_path, "clerk", "desk")
    write_catalogue(tmp_path, {"desk": ["clerk"]}, fallback="clerk")
    with pytest.raises(BadSettings, match="fitted for 'pilot'"):
        HierarchicalRouter(file, base, Catalogue.load(tmp_path))
    other = file.card.model_copy(update={"encoder": "other@0123456789ab"})
    with pytest.raises(BadSettings, match="reads with 'other@0123456789ab'"):
        HierarchicalRouter(file.model_copy(update={"card": other}), base, write_crew_of(tmp_path / "crew"))


class TestFile:
    def test_tensors_that_do_not_fit_are_refused(self, file: RouterTensors, base: Base, tmp_path: Path) -> None:
        for gone in ("fine.bias", "coarse._keys.0", "table.values", "deep.mean", "regret.means"):
            kept = {name: value for name, value in file.tensors.items() if name != gone}
            with pytest.raises(BadSettings, match="do not fit its card"):
                HierarchicalRouter(file.model_copy(update={"tensors": kept}), base, write_crew_of(tmp_path / gone))

    @pytest.mark.parametrize(
        "cut", ["fine.votes", "deep.weights", "deep.directions", "deep.centres", "deep.stay_weights", "regret.means"]
    )
    def test_tensors_of_another_size_are_refused(
        self, cut: str, file: RouterTensors, base: Base, tmp_path: Path
    ) -> None:
        shorter = {**file.tensors, cut: file.tensors[cut][..., :-1].contiguous()}
        with pytest.raises(BadSettings, match="do not fit its card"):
            HierarchicalRouter(file.model_copy(update={"tensors": shorter}), base, write_crew_of(tmp_path))

    @pytest.mark.parametrize(
        ("changed", "why"),
        [
            ({"group_of": (0, 1)}, "3 members and 2 groups of members"),
            ({"fallback": "cook"}, "fallback 'cook' is none of the members"),
        ],
    )
    def test_a_card_that_contradicts_itself_is_refused(
        self, changed: dict[str, object], why: str, file: RouterTensors, tmp_path: Path
    ) -> None:
        path = tmp_path / "router.safetensors"
        write_router(path, file.card.model_copy(update=changed), file.tensors)
        with pytest.raises(BadSettings, match=why):
            read_router(path)

    @pytest.mark.parametrize("data", [b"", b"{}", b"\x02\0\0\0\0\0\0\0{}", b"\xff" * 64, b"\x08\0\0\0\0\0\0\0[[[[[[[["])
    def test_what_is_no_router_is_refused(self, data: bytes, tmp_path: Path) -> None:
        path = tmp_path / "router.safetensors"
        path.write_bytes(data)
        with pytest.raises(BadSettings, match=r"router\.safetensors is no router"):
            read_router(path)

    def test_what_is_not_there_or_too_large_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadSettings, match="consilium train router"):
            read_router(tmp_path / "none")
        with (tmp_path / "large").open("wb") as sparse:
            sparse.truncate(MAX_BYTES + 1)
        with pytest.raises(BadSettings, match="at most 20,000,000"):
            read_router(tmp_path / "large")

    def test_a_router_that_would_be_too_large_is_not_written(self, file: RouterTensors, tmp_path: Path) -> None:
        with pytest.raises(BadSettings, match="at most 20,000,000"):
            write_router(tmp_path / "large", file.card, {"x": torch.zeros(6_000_000)})
        assert list(tmp_path.iterdir()) == []


class TestWeighing:
    labels = torch.arange(300) % 3

    def stages(self, good: str) -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(0)
        right, noise = 4 * torch.eye(3)[self.labels] + torch.randn(300, 3), torch.randn(300, 3)
        return (right.softmax(-1), noise) if good == "fast" else (noise.softmax(-1), right)

    def test_the_stage_that_is_right_counts_more(self) -> None:
        for good in ("fast", "deep"):
            fast, deep = weighed(*self.stages(good), torch.eye(3)[self.labels])
            assert (fast > deep) == (good == "fast")

    def test_a_fast_stage_that_guesses_is_never_trusted_alone_and_one_that_knows_often(self) -> None:
        for good, trusted in (("fast", True), ("deep", False)):
            fast, deep = self.stages(good)
            both = joined(fast, deep, weighed(fast, deep, torch.eye(3)[self.labels]))
            alone = float((fast.amax(-1) >= certainty(fast, both, self.labels)).float().mean())
            assert alone == pytest.approx(1 - ASKED, abs=0.01) if trusted else alone < 0.1

    def test_a_newcomer_keeps_its_lead_over_the_others(self) -> None:
        fast, deep = torch.tensor([[0.7, 0.3]]), torch.tensor([[1.0, 2.0, 4.0]])
        both = joined(fast, deep, (0.5, 1.0))
        assert both.argmax(-1).tolist() == [2]
        assert torch.allclose(joined(fast, deep[:, :2], (0.5, 1.0)).diff(), both[:, :2].diff(), atol=1e-5)

    def test_the_fast_stage_counts_by_how_likely_a_request_is_somebodys(self) -> None:
        fast, clerk = torch.tensor([[0.9, 0.05, 0.05]]).repeat(3, 1), 2
        deep = torch.tensor([[0.0, 1.0, -50.0], [0.0, 1.0, 1.3], [0.0, 1.0, 50.0]])
        lead = (joined(fast, deep, (1.0, 1.0), clerk) @ torch.tensor([1.0, -1.0, 0.0])).tolist()
        without = (joined(fast, deep, (1.0, 1.0)) @ torch.tensor([1.0, -1.0, 0.0])).tolist()
        assert lead[0] == pytest.approx(without[0])
        assert without[0] > lead[1] > lead[2] == pytest.approx(-1.0, abs=1e-5)

    def test_a_newcomer_makes_a_request_somebodys(self) -> None:
        fast, deep = torch.tensor([[0.9, 0.1]]), torch.tensor([[0.0, 2.0, 9.0]])
        alone, beside = joined(fast, deep[:, :2], (1.0, 1.0), 1), joined(fast, deep, (1.0, 1.0), 1)
        assert float(beside[0, 0] - beside[0, 1]) > float(alone[0, 0] - alone[0, 1])
