"""The router's losses: zero where they should be, and downhill towards what they ask for."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from consilium.routing.losses import constrained_gjs, cross_entropy, load_balance, soft_targets


def test_the_likeliest_member_gets_most_and_more_at_a_lower_temperature() -> None:
    likelihoods = torch.tensor([[-1.0, -2.0, -4.0]])
    warm, cold = soft_targets(likelihoods, 1.0), soft_targets(likelihoods, 0.1)
    assert float(warm[0, 0] / warm[0, 1]) == pytest.approx(math.e, rel=1e-5)
    assert float(cold[0, 0]) > 0.9999
    assert torch.allclose(warm.sum(-1), torch.ones(1))


def test_cross_entropy_is_least_where_decisions_are_the_targets() -> None:
    targets = torch.tensor([[0.7, 0.2, 0.1]])
    least = float(cross_entropy(targets.log(), targets))
    assert least == pytest.approx(-(0.7 * math.log(0.7) + 0.2 * math.log(0.2) + 0.1 * math.log(0.1)))
    assert float(cross_entropy(torch.zeros(1, 3), targets)) > least


def test_certain_decisions_that_are_spread_out_cost_nothing() -> None:
    assert float(constrained_gjs(torch.eye(8))) == 0.0
    softened = torch.eye(8, dtype=torch.float64) * 0.8 + 0.2 / 8  # of 1.9 effective choices, where 2.8 are allowed
    assert float(constrained_gjs(softened)) == 0.0


def test_undecided_and_one_sided_decisions_cost_all_there_is() -> None:
    undecided = torch.full((6, 8), 1 / 8, dtype=torch.float64)
    one_sided = torch.eye(8, dtype=torch.float64)[:1].repeat(6, 1)
    # Undecided: spread .98, doubt 1. One-sided: spread 0, doubt .5, the floor.
    assert float(constrained_gjs(undecided)) == pytest.approx(0.48 - (0.98 - 1.0))
    assert float(constrained_gjs(one_sided)) == pytest.approx(0.48 - (0.0 - 0.5))


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 12), st.integers(1, 9), st.integers(0, 99))
def test_the_constrained_loss_stays_within_its_bounds(choices: int, requests: int, seed: int) -> None:
    torch.manual_seed(seed)
    decisions = (torch.randn(requests, choices, dtype=torch.float64) * 5).softmax(-1).requires_grad_()
    loss = constrained_gjs(decisions)
    (gradient,) = torch.autograd.grad(loss, decisions)
    assert 0 <= float(loss.detach()) <= 0.48 + 0.5 + 1e-6
    assert torch.isfinite(gradient).all()


def test_descent_makes_decisions_certain_and_balanced() -> None:
    torch.manual_seed(0)
    logits = (torch.randn(64, 4) * 0.1 + torch.tensor([1.0, 0, 0, 0])).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.1)
    for _ in range(300):
        optimiser.zero_grad()
        constrained_gjs(logits.softmax(-1)).backward()
        optimiser.step()
    decisions = logits.detach().softmax(-1)
    assert float(constrained_gjs(decisions)) < 0.01
    assert float(decisions.mean(0).max()) < 0.4
    assert float(decisions.max(-1).values.mean()) > 0.6


def test_gradients_of_impossible_choices_are_finite() -> None:
    decisions = torch.eye(3).requires_grad_()
    (gradient,) = torch.autograd.grad(constrained_gjs(decisions, balance=1.0, certainty=0.0), decisions)
    assert torch.isfinite(gradient).all()


def test_load_balance_is_one_where_all_are_chosen_alike_and_n_where_one_always_is() -> None:
    assert float(load_balance(torch.eye(5))) == pytest.approx(1.0)
    assert float(load_balance(torch.eye(5)[:1].repeat(4, 1))) == pytest.approx(5.0)
