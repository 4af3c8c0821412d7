"""The mixture of two paths: probabilities at every level, and each path alone at the ends of the scale."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from consilium.routing.hybrid import Found, Hybrid

GROUP_OF = (0, 1, 1, 2, 2, 2)


def found(seed: int = 0, *, trust: float | None = None, spread: float = 3.0) -> Found:
    drawn = torch.Generator().manual_seed(seed)
    hybrid = Hybrid(GROUP_OF)
    if trust is not None:
        hybrid._trust.data.fill_(trust)
    fine, members = (spread * torch.randn(4, 6, generator=drawn) for _ in range(2))
    with torch.no_grad():
        return hybrid(fine, spread * torch.randn(4, 3, generator=drawn), members)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.sampled_from([0.0, 1.0, 30.0, 1e4]))
@example(310, 1e4)
def test_shares_sum_to_one_at_every_level(seed: int, spread: float) -> None:
    result = found(seed, spread=spread)
    for path in ("fine", "coarse", "mixed"):
        groups, within, members = (getattr(level, path) for level in (result.groups, result.within, result.members))
        by_group = torch.zeros(4, 3).index_add(1, torch.tensor(GROUP_OF), within)
        assert torch.allclose(groups.sum(-1), torch.ones(4), atol=1e-6)
        assert torch.allclose(by_group, torch.ones(4, 3), atol=1e-6)
        assert torch.allclose(members.sum(-1), torch.ones(4), atol=1e-6)
        assert torch.isfinite(members).all()


def test_the_fine_path_is_the_softmax_of_its_logits_whatever_the_groups() -> None:
    logits = torch.randn(5, 6)
    with torch.no_grad():
        result = Hybrid(GROUP_OF)(logits, torch.randn(5, 3), torch.randn(5, 6))
    assert torch.allclose(result.members.fine, logits.softmax(-1), atol=1e-6)


@pytest.mark.parametrize(("trust", "path"), [(-40.0, "fine"), (40.0, "coarse")])
def test_trust_at_its_ends_follows_one_path_alone(trust: float, path: str) -> None:
    result = found(trust=trust)
    assert torch.allclose(result.members.mixed, getattr(result.members, path), atol=1e-6)


def test_trust_starts_on_the_published_schedule() -> None:
    assert Hybrid(GROUP_OF).trust() == pytest.approx((0.119, 0.881), abs=1e-3)


def test_one_group_is_a_flat_router() -> None:
    with torch.no_grad():
        result = Hybrid((0, 0, 0))(torch.randn(2, 3), torch.randn(2, 1), torch.randn(2, 3))
    assert torch.allclose(result.members.mixed, result.within.mixed)
