"""Gates: from a point to a logit for each choice, which is known by its key.

Six forms, those that Harvey, Weale and Yilmaz compare (arXiv 2506.16419), written for choices with keys, so that a
choice may be added without training; and a mixture of several (Mixture of Routers, arXiv 2503.23362).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import normalize, relu

if TYPE_CHECKING:
    from torch import Tensor

SHARPNESS = 10.0
"""What a cosine of 1 is worth as a logit, before training."""


class LinearGate(nn.Module):
    """The cosine between ``W x`` and each key."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._project = nn.Linear(width, width)
        self._sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)))

    def forward(self, points: "Tensor", keys: "Tensor") -> "Tensor":
        """Return logits, [..., choices], for points, [..., width], and keys, [choices, width]."""
        return cosines(self._project(points), keys) * self._sharpness.exp()


class MlpGate(nn.Module):
    """The cosine between ``W2 relu(W1 x)`` and each key."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._project = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        self._sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)))

    def forward(self, points: "Tensor", keys: "Tensor") -> "Tensor":
        """Return logits, [..., choices], for points, [..., width], and keys, [choices, width]."""
        return cosines(self._project(points), keys) * self._sharpness.exp()


class AttentionGate(nn.Module):
    """What several heads attend to among the keys, on average."""

    heads = 4

    def __init__(self, width: int) -> None:
        super().__init__()
        self._queries = nn.Linear(width, width)
        self._keys = nn.Linear(width, width)

    def forward(self, points: "Tensor", keys: "Tensor") -> "Tensor":
        """Return logits, [..., choices], for points, [..., width], and keys, [choices, width]."""
        queries = self._queries(points).unflatten(-1, (self.heads, -1))
        known = self._keys(keys).unflatten(-1, (self.heads, -1))
        scores = torch.einsum("...hd,nhd->...hn", queries, known) / math.sqrt(queries.shape[-1])
        return scores.softmax(-1).mean(-2).clamp(min=1e-9).log()


class HybridGate(nn.Module):
    """A linear gate and an attention gate, weighed by a learned share."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._linear = LinearGate(width)
        self._attention = AttentionGate(width)
        self._share = nn.Parameter(torch.zeros(()))

    def forward(self, points: "Tensor", keys: "Tensor") -> "Tensor":
        """Return logits, [..., choices], for points, [..., width], and keys, [choices, width]."""
        share = self._share.sigmoid()
        linear, attention = (gate(points, keys).softmax(-1) for gate in (self._linear, self._attention))
        mixed: Tensor = (1 - share) * linear + share * attention
        return mixed.clamp(min=1e-9).log()


class HashGate(nn.Module):
    """How many bits a point's hash shares with each key's: signs of fixed random projections, nothing learned."""

    bits = 256

    def __init__(self, width: int) -> None:
        super().__init__()
        planes = torch.randn(width, self.bits, generator=torch.Generator().manual_seed(0))
        self._planes: Tensor
        self.register_buffer("_planes", planes, persistent=False)

    def forward(self, points: "Tensor", keys: "Tensor") -> "Tensor":
        """Return logits, [..., choices], for points, [..., width], and keys, [choices, width]."""
        return SHARPNESS / self.bits * (points @ self._planes).sign() @ (keys @ self._planes).sign().T


class HadamardGate(nn.Module):
    """An MLP over the point times the key, element by element."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._points = nn.Linear(width, width)
        self._keys = nn.Linear(width, width)
        self._out = nn.Linear(width, 1)

    def forward(self, points: "Tensor", keys: "Tensor") -> "Tensor":
        """Return logits, [..., choices], for points, [..., width], and keys, [choices, width]."""
        joint = self._points(points)[..., None, :] * self._keys(keys)
        logits: Tensor = self._out(relu(joint))
        return logits.squeeze(-1)


class MixtureGate(nn.Module):
    """Several gates, weighed for each point by a main one: ``sum_j w_j R_j`` over the ``most`` heaviest."""

    def __init__(self, width: int, names: Sequence[str] = ("linear", "mlp", "attention"), most: int = 2) -> None:
        super().__init__()
        self._gates = nn.ModuleList([GATES[name](width) for name in names])
        self._main = nn.Linear(width, len(names))
        self._most = min(most, len(names))

    def forward(self, points: "Tensor", keys: "Tensor") -> "Tensor":
        """Return logits, [..., choices], for points, [..., width], and keys, [choices, width]."""
        heaviest = self._main(points).topk(self._most, -1)
        weights = torch.zeros(*points.shape[:-1], len(self._gates)).scatter(
            -1, heaviest.indices, heaviest.values.softmax(-1)
        )
        decisions = torch.stack([gate(points, keys).softmax(-1) for gate in self._gates], -2)
        return (weights[..., None] * decisions).sum(-2).clamp(min=1e-9).log()


GATES: Mapping[str, Callable[[int], nn.Module]] = {
    "linear": LinearGate,
    "attention": AttentionGate,
    "mlp": MlpGate,
    "hybrid": HybridGate,
    "hash": HashGate,
    "mlp-hadamard": HadamardGate,
    "mixture": MixtureGate,
}


def cosines(queries: "Tensor", keys: "Tensor") -> "Tensor":
    """Return the cosine of each query, [..., width], with each key, [choices, width]: [..., choices]."""
    return normalize(queries, dim=-1) @ normalize(keys, dim=-1).T
