"""The fast stage's coarse path: HMoRA's task encoder, and a gate over what it makes of a request, for each level.

Liao et al., HMoRA, ICLR 2025, eq. 1 and 2, in front of the engine instead of inside it; levels of the hierarchy, groups
and members, take the place of layers.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from consilium.routing.gates import GATES

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Requests as the network reads them."""

    embeddings: "Tensor"
    """Of the tokens, [requests, tokens, inputs], zeros behind the end."""
    present: "Tensor"
    """Where there is a token, [requests, tokens]."""


class CoarseNetwork(nn.Module):
    """From a request to logits for groups and for members.

    Args:
        members: how many there are.
        groups: how many there are.
        inputs: length of a token's embedding.
        width: of the task encoder, and of points and keys.
        gate: a name in `GATES`.
        dropout: within the task encoder, in training.
    """

    def __init__(
        self, members: int, groups: int, *, inputs: int, width: int = 128, gate: str = "linear", dropout: float = 0.1
    ) -> None:
        super().__init__()
        self._encoder = TaskEncoder(inputs, width, dropout)
        self._gates = nn.ModuleList([GATES[gate](width) for _ in range(2)])
        self._keys = nn.ParameterList([_keys(groups, width), _keys(members, width)])

    def forward(self, batch: Batch) -> "tuple[Tensor, Tensor]":
        """Return logits of groups, [requests, groups], and of members, [requests, members]."""
        task = self._encoder(batch)
        groups, members = (gate(task, keys) for gate, keys in zip(self._gates, self._keys, strict=True))
        return groups, members


class TaskEncoder(nn.Module):
    """HMoRA's eq. 1: one transformer layer over the tokens with their positions, and a learned token behind them."""

    def __init__(self, inputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self._project = nn.Linear(inputs, width)
        self._task = nn.Parameter(torch.randn(width) * 0.02)
        self._layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout, batch_first=True)

    def forward(self, batch: Batch) -> "Tensor":
        """Return what the learned token has become, [requests, width]."""
        tokens = self._project(batch.embeddings)
        tokens = tokens + _positions(*tokens.shape[1:])
        task = self._task.expand(len(tokens), 1, -1)
        sequence = torch.cat([tokens, task], 1)
        absent = ~torch.nn.functional.pad(batch.present, (0, 1), value=True)
        return self._last(sequence, absent)

    def _last(self, sequence: "Tensor", absent: "Tensor") -> "Tensor":
        """Return what the layer makes of the last token alone: nobody asks what becomes of the others."""
        layer, last = self._layer, sequence[:, -1:]
        heard, _ = layer.self_attn(last, sequence, sequence, key_padding_mask=absent, need_weights=False)
        last = layer.norm1(last + layer.dropout1(heard))
        thought = layer.linear2(layer.dropout(layer.activation(layer.linear1(last))))
        found: Tensor = layer.norm2(last + layer.dropout2(thought))
        return found[:, 0]


def _keys(choices: int, width: int) -> nn.Parameter:
    return nn.Parameter(nn.functional.normalize(torch.randn(choices, width), dim=-1))


def _positions(tokens: int, width: int) -> "Tensor":
    """Return sinusoidal positions, [tokens, width] (Vaswani et al., arXiv 1706.03762, section 3.5)."""
    steps = torch.arange(tokens)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    return torch.stack([steps.sin(), steps.cos()], -1).flatten(1)
