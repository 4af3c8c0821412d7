"""What a router is trained to lower: soft targets from likelihoods, and HMoRA's certainty and balance."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BALANCE = 0.98
"""HMoRA's gamma_b: the entropy that the mean decision should reach, as a share of the largest."""
CERTAINTY = 0.5
"""HMoRA's gamma_c: the entropy that one decision may keep."""


def soft_targets(log_likelihoods: "torch.Tensor", temperature: float) -> "torch.Tensor":
    """Return how far each member is the right one, given how likely it finds the reference.

    Args:
        log_likelihoods: of the reference under every member, mean nats a token, [requests, members].
        temperature: in nats; the smaller, the more the best member gets.

    Returns:
        Probabilities over the members, [requests, members].
    """
    targets: torch.Tensor = (log_likelihoods / temperature).softmax(-1)
    return targets


def cross_entropy(logits: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
    """Return the mean cross-entropy of decisions, [requests, members], against soft targets, in nats."""
    loss: torch.Tensor = -(targets * logits.log_softmax(-1)).sum(-1).mean()
    return loss


def constrained_gjs(
    decisions: "torch.Tensor", *, balance: float = BALANCE, certainty: float = CERTAINTY
) -> "torch.Tensor":
    """Return HMoRA's constrained generalised Jensen-Shannon loss: each decision certain, all of them spread out.

    ``relu((balance - certainty) Hmax - (Hb - Hc)) / Hmax``, with Hb the entropy of the mean decision, at most
    ``balance Hmax``, and Hc the mean entropy of a decision, each at least ``certainty Hmax``. It is zero as soon as the
    mean is balanced and the decisions are certain enough, so that it never drives a decision to one member alone.
    Liao et al., HMoRA, ICLR 2025, eq. 7.

    Args:
        decisions: probabilities before anything is mixed or cut off, [requests, choices]; at least two choices.
        balance: share of the largest entropy that the mean should reach; less for skewed traffic.
        certainty: share of it that a decision may keep.
    """
    largest = math.log(decisions.shape[-1])
    spread = _entropy(decisions.mean(0)).clamp(max=balance * largest)
    doubt = _entropy(decisions).clamp(min=certainty * largest).mean()
    loss: torch.Tensor = ((balance - certainty) * largest - (spread - doubt)).relu() / largest
    return loss


def load_balance(decisions: "torch.Tensor") -> "torch.Tensor":
    """Return ``N sum_i f_i P_i``: share of requests decided for i, times mean probability of i, over N choices.

    1 where all are chosen alike, N where one always is. Fedus et al., Switch Transformers, arXiv 2101.03961, eq. 4.

    Args:
        decisions: probabilities, [requests, choices].
    """
    import torch

    choices = decisions.shape[-1]
    chosen = torch.nn.functional.one_hot(decisions.argmax(-1), choices).to(decisions.dtype).mean(0)
    loss: torch.Tensor = choices * (chosen * decisions.mean(0)).sum()
    return loss


def _entropy(probabilities: "torch.Tensor") -> "torch.Tensor":
    """Return entropies over the last axis, in nats; zeros count nothing, in the gradient too."""
    import torch

    entropies: torch.Tensor = torch.special.entr(probabilities.clamp(min=1e-9)).sum(-1)
    return entropies
