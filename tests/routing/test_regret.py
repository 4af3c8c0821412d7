"""Expected regret: who loses what, at whose work, and how much caution that deserves."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Request
from consilium.routing.regret import MOST, Heard, Regret
from consilium.routing.selection import Selection
from tests.support.routers import write_crew_of

NAMES = ("pilot", "mate", "clerk")
MEMBERS, FALLBACK = 3, 2


def heard(**changed: object) -> Heard:
    """Return what was heard: a pilot's and a mate's work, and two kinds of nobody's; the mate does one well."""
    rows = [
        (0, "", [-0.1, -3.1, -1.1]),
        (1, "", [-5.0, -0.5, -1.0]),
        *((FALLBACK, "riddles", [-9.0, -1.0, -2.0]) for _ in range(6)),
        *((FALLBACK, "talk", [-2.0, -4.0, -1.0]) for _ in range(2)),
    ]
    members, sources, nats = zip(*rows, strict=True)
    known = {"members": torch.tensor(members), "sources": sources, "nats": torch.tensor(nats)}
    return Heard(**{**known, **changed})  # type: ignore[arg-type]


def scores(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows)


def test_where_it_is_sure_whose_work_it_is_that_member_loses_least() -> None:
    regret = Regret.fit(heard(), FALLBACK)
    expected = regret.expected(scores([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]))
    assert expected[0].tolist() == pytest.approx([0.0, 3.0, 1.0], abs=1e-5)
    assert expected[1].tolist() == pytest.approx([4.5, 0.0, 0.5], abs=1e-5)


def test_a_seat_where_a_mistake_costs_much_needs_more_certainty() -> None:
    regret = Regret.fit(heard(), FALLBACK)
    doubted = scores([0.6, 0.4, 0.0], [0.4, 0.6, 0.0])
    assert doubted.argmax(-1).tolist() == [0, 1]
    assert regret.expected(doubted).argmin(-1).tolist() == [FALLBACK, FALLBACK]


def test_each_source_of_a_kind_of_work_counts_as_much_as_another() -> None:
    expected = Regret.fit(heard(), FALLBACK).expected(scores([0.0, 0.0, 1.0]))[0]
    assert expected.tolist() == pytest.approx([(8.0 + 1.0) / 2, (0.0 + 3.0) / 2, (1.0 + 0.0) / 2], abs=1e-5)


def test_one_row_counts_no_more_than_so_much() -> None:
    row = torch.full((10, MEMBERS), -1.0)
    row[0] = torch.tensor([-0.5, -100.0, -1.0])
    regret = Regret.fit(heard(nats=row), FALLBACK)
    assert regret.means[0].tolist() == pytest.approx([0.0, MOST, 0.5])


def test_without_anybody_heard_the_likeliest_loses_least() -> None:
    regret = Regret.alike(MEMBERS)
    asked = torch.rand(50, MEMBERS, generator=torch.Generator().manual_seed(0)).softmax(-1)
    assert torch.equal(regret.expected(asked).argmin(-1), asked.argmax(-1))
    more = torch.nn.functional.pad(asked, (0, 1))
    assert torch.equal(regret.expected(more).argmin(-1), more.argmax(-1))


def test_a_newcomer_is_taken_to_be_as_the_others_are() -> None:
    regret = Regret.fit(heard(), FALLBACK)
    expected = regret.expected(scores([0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]))
    assert expected[0].argmin() == MEMBERS
    assert expected[1].argmin() == 0
    assert float(expected[1, MEMBERS]) == pytest.approx((3.0 + 1.0) / 2, abs=1e-5)


def test_members_whose_work_nobody_was_heard_at_lose_there_what_they_lose_elsewhere() -> None:
    only_nobodys = heard(members=torch.tensor([FALLBACK] * 10), sources=["odds", *["ends"] * 9])
    regret = Regret.fit(only_nobodys, FALLBACK)
    assert regret.means[:2].argmin(-1).tolist() == [0, 1]
    assert float(regret.means[0, 1]) == pytest.approx(float(regret.means[FALLBACK, 1]))


def test_caution_is_as_much_as_known_requests_bear() -> None:
    regret = Regret.fit(heard(), FALLBACK)
    right = torch.tensor([0] * 150)
    sure = scores([0.97, 0.0, 0.03]).repeat(150, 1)
    careful = regret.cautious(sure, right)
    assert float(careful.caution) > 1
    assert careful.expected(sure).argmin(-1).tolist() == right.tolist()
    doubted = scores([0.9, 0.0, 0.1])
    assert regret.expected(doubted).argmin() == 0 != careful.expected(doubted).argmin()
    assert torch.equal(careful.expected(doubted, caution=False), regret.expected(doubted))


def test_caution_costs_at_most_one_request_in_a_hundred() -> None:
    """One of 150 that is doubted takes none of it away, three do."""
    regret = Regret.fit(heard(), FALLBACK)

    def caution(doubted: int) -> float:
        asked = scores(*[[0.97, 0.0, 0.03]] * (150 - doubted), *[[0.9, 0.0, 0.1]] * doubted)
        return float(regret.cautious(asked, torch.zeros(150, dtype=torch.long)).caution)

    assert caution(1) == caution(0) > caution(3) >= 1


def test_it_is_kept_with_the_router() -> None:
    regret = Regret.fit(heard(), FALLBACK)
    again = Regret.from_tensors(regret.tensors())
    asked = scores([0.2, 0.3, 0.5])
    assert torch.equal(again.expected(asked), regret.expected(asked))
    with pytest.raises(KeyError):
        Regret.from_tensors({})


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return write_crew_of(tmp_path_factory.mktemp("crew"))


@settings(max_examples=100, deadline=None)
@given(
    shares=st.lists(st.floats(0.001, 1), min_size=3, max_size=3),
    caution=st.sampled_from([1.0, 4.0, 30.0]),
)
def test_caution_is_weighed_by_the_rule_that_seats(crew: Catalogue, shares: list[float], caution: float) -> None:
    regret = replace(Regret.fit(heard(), FALLBACK), caution=torch.tensor(caution))
    asked = scores([share / sum(shares) for share in shares])
    likely, regrets = (dict(zip(NAMES, row[0].tolist(), strict=True)) for row in (asked, regret.expected(asked)))
    request = Request(message="hello", seats=1)
    decided = Selection().decide(likely, request, crew, router="any", digest="", regrets=regrets)
    assert decided.seats[0].member == NAMES[int(regret.first(asked))]
