"""The fast stage's network: HMoRA's two routers, by token and by task, at two levels, groups and members.

Liao et al., HMoRA, ICLR 2025, eq. 1 to 4, in front of the engine instead of inside it: token embeddings go in, which
are frozen and narrow, and what comes out is a decision for a whole message. Levels take the place of layers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from consilium.routing.gates import GATES

if TYPE_CHECKING:
    from torch import Tensor

TRUST = 2.0
"""HMoRA's epsilon: a starts at -2 on the first level and at 2 on the last, so that groups follow the fine path by 0.88,
and members the coarse one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """What each path of one level decided, and how they were mixed; probabilities, [messages, choices]."""

    fine: "Tensor"
    coarse: "Tensor"
    mixed: "Tensor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A decision and how it came about."""

    members: "Tensor"
    """[messages, members]; rows sum to 1: the group's probability times the member's in its group."""
    groups: Paths
    within: Paths
    """Of each member within its group."""
    pull: "Tensor"
    """How much each token counts in the fine path, [messages, tokens]; rows sum to 1."""


class HierarchicalNetwork(nn.Module):
    """From token embeddings to a probability for each member.

    Args:
        group_of: the group of each member, numbered from 0; all 0 makes a flat router.
        inputs: length of a token's embedding.
        width: length of points and keys.
        gate: a name in `GATES`.
        dropout: of embeddings and within the task encoder, in training.
    """

    def __init__(
        self, group_of: Sequence[int], *, inputs: int, width: int = 128, gate: str = "linear", dropout: float = 0.1
    ) -> None:
        super().__init__()
        self._drop = nn.Dropout(dropout)
        # A token with its neighbours, for a word is often several tokens.
        self._trunk = nn.Conv1d(inputs, width, kernel_size=3, padding=1)
        self._salience = nn.Linear(width, 1)
        self._encoder = TaskEncoder(width, dropout)
        self._groups = Level(max(group_of) + 1, width, gate, trust=-TRUST)
        self._members = Level(len(group_of), width, gate, trust=TRUST)
        self._group_of: Tensor
        self.register_buffer("_group_of", torch.tensor(group_of), persistent=False)

    def forward(self, embeddings: "Tensor", lengths: "Tensor") -> Found:
        """Decide on messages.

        Args:
            embeddings: of their tokens, [messages, tokens, inputs], filled up behind each message's end.
            lengths: tokens of each message, [messages], at least 1.
        """
        present = torch.arange(embeddings.shape[1]) < lengths[:, None]
        embeddings = self._drop(embeddings) * present[..., None]  # so that the last token has no neighbour
        tokens = self._trunk(embeddings.transpose(1, 2)).transpose(1, 2)
        pull = self._salience(tokens).squeeze(-1).masked_fill(~present, -torch.inf).softmax(-1)
        task = self._encoder(tokens, present)
        groups = self._groups(tokens, pull, task)
        within = self._members(tokens, pull, task, self._group_of)
        members = groups.mixed[:, self._group_of] * within.mixed
        return Found(members=members, groups=groups, within=within, pull=pull)

    def trust(self) -> tuple[float, float]:
        """Return how far groups and members follow the coarse path, sigmoid(a), from 0 to 1."""
        return float(self._groups.trust.detach().sigmoid()), float(self._members.trust.detach().sigmoid())


class TaskEncoder(nn.Module):
    """HMoRA's eq. 1: one transformer layer over the tokens with their positions, and a learned token behind them."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self._task = nn.Parameter(torch.randn(width) * 0.02)
        self._layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout, batch_first=True)
        self._width = width

    def forward(self, tokens: "Tensor", present: "Tensor") -> "Tensor":
        """Return what the learned token has become, [messages, width].

        Args:
            tokens: [messages, tokens, width].
            present: where a message has a token, [messages, tokens].
        """
        count = len(tokens)
        sequence = torch.cat([tokens + _positions(tokens.shape[1], self._width), self._task.expand(count, 1, -1)], 1)
        filler = torch.cat([~present, torch.zeros(count, 1, dtype=torch.bool)], 1)
        encoded: Tensor = self._layer(sequence, src_key_padding_mask=filler)
        return encoded[:, -1]


class Level(nn.Module):
    """Two gates over the same keys, and how far each is followed (eq. 2 to 4)."""

    def __init__(self, choices: int, width: int, gate: str, *, trust: float) -> None:
        super().__init__()
        self.keys = nn.Parameter(nn.functional.normalize(torch.randn(choices, width), dim=-1))
        self.trust = nn.Parameter(torch.tensor(trust))
        self._fine, self._coarse = (GATES[gate](width) for _ in range(2))

    def forward(self, tokens: "Tensor", pull: "Tensor", task: "Tensor", group_of: "Tensor | None" = None) -> Paths:
        """Decide among the choices, or among those of each group where ``group_of`` says which they are in."""
        by_token = _shares(self._fine(tokens, self.keys), group_of)
        fine = (pull[..., None] * by_token).sum(1)
        coarse = _shares(self._coarse(task, self.keys), group_of)
        weight = self.trust.sigmoid()
        return Paths(fine=fine, coarse=coarse, mixed=(1 - weight) * fine + weight * coarse)


def _shares(logits: "Tensor", group_of: "Tensor | None") -> "Tensor":
    """Return softmax over the last axis, within each group where there are any."""
    if group_of is None:
        return logits.softmax(-1)
    group = group_of.expand_as(logits)
    groups = (*logits.shape[:-1], int(group_of.max()) + 1)
    highest = logits.new_full(groups, -torch.inf).scatter_reduce(-1, group, logits.detach(), "amax")
    weights = (logits - highest.gather(-1, group)).exp()
    totals = logits.new_zeros(groups).scatter_add(-1, group, weights)
    return weights / totals.gather(-1, group)


def _positions(tokens: int, width: int) -> "Tensor":
    """Return sinusoidal positions, [tokens, width] (Vaswani et al., arXiv 1706.03762, section 3.5)."""
    steps = torch.arange(tokens)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    return torch.stack([steps.sin(), steps.cos()], -1).flatten(1)
