"""Gates: choices are known by their keys, so that one more changes nothing about the others."""

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from consilium.routing.gates import GATES, MixtureGate

WIDTH = 16


@pytest.fixture(params=GATES)
def gate(request: pytest.FixtureRequest) -> torch.nn.Module:
    torch.manual_seed(0)
    return GATES[request.param](WIDTH)


def test_every_choice_has_a_finite_logit_for_points_of_any_shape(gate: torch.nn.Module) -> None:
    logits = gate(torch.randn(3, 5, WIDTH), torch.randn(7, WIDTH))
    assert logits.shape == (3, 5, 7)
    assert torch.isfinite(logits).all()
    assert torch.isfinite(gate(torch.zeros(WIDTH), torch.zeros(2, WIDTH))).all()


@pytest.mark.parametrize("name", ["linear", "mlp", "hash", "mlp-hadamard"])
def test_one_more_choice_leaves_the_odds_of_the_others(name: str) -> None:
    torch.manual_seed(0)
    gate = GATES[name](WIDTH)
    points, keys = torch.randn(5, WIDTH), torch.randn(4, WIDTH)
    odds, fewer = gate(points, keys).log_softmax(-1)[:, :3], gate(points, keys[:3]).log_softmax(-1)
    assert torch.allclose(odds - odds[:, :1], fewer - fewer[:, :1], atol=1e-4)


def test_the_order_of_the_keys_does_not_matter(gate: torch.nn.Module) -> None:
    points, keys, order = torch.randn(5, WIDTH), torch.randn(4, WIDTH), torch.tensor([2, 0, 3, 1])
    assert torch.allclose(gate(points, keys)[:, order], gate(points, keys[order]), atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(GATES) - {"hash"}))
def test_a_gate_learns_which_choice_a_point_belongs_to(name: str) -> None:
    torch.manual_seed(0)
    gate, keys = GATES[name](WIDTH), torch.nn.Parameter(normalize(torch.randn(4, WIDTH), dim=-1))
    centres = torch.randn(4, WIDTH)
    labels = torch.arange(4).repeat(40)
    points = centres[labels] + 0.3 * torch.randn(160, WIDTH)
    optimiser = torch.optim.Adam([*gate.parameters(), keys], lr=0.01)
    for _ in range(120):
        optimiser.zero_grad()
        cross_entropy(gate(points, keys), labels).backward()
        optimiser.step()
    unseen = centres[labels] + 0.3 * torch.randn(160, WIDTH)
    assert (gate(unseen, keys).argmax(-1) == labels).float().mean() > 0.95


def test_the_hash_learns_nothing_and_still_finds_what_lies_close() -> None:
    gate = GATES["hash"](WIDTH)
    assert not list(gate.parameters())
    keys = torch.randn(6, WIDTH)
    assert (gate(keys + 0.2 * torch.randn(6, WIDTH), keys).argmax(-1) == torch.arange(6)).all()


def test_a_mixture_whose_main_gate_trusts_one_alone_is_that_one() -> None:
    torch.manual_seed(0)
    mixture = MixtureGate(WIDTH, names=("linear", "mlp"))
    mixture._main.weight.data.zero_()
    mixture._main.bias.data = torch.tensor([0.0, 60.0])
    points, keys = torch.randn(5, WIDTH), torch.randn(4, WIDTH)
    assert torch.allclose(mixture(points, keys).softmax(-1), mixture._gates[1](points, keys).softmax(-1), atol=1e-5)
