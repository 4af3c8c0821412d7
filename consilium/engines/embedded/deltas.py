"""Many adapters in one batch: their matrices side by side, so that a layer adds two batched products for all rows.

An adapter passes through three places: its file's bytes, checked, in the catalogue; its matrices in memory, in the
file's own precision (`Delta`); and, while a row of its member runs, that row's slice of the batch in float32
(`BoundDeltas`). Coming and going touches no other row.

The equation is LoRA's (Hu et al., arXiv 2106.09685): ``y = W x + scale B A x``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consilium.errors import AdapterRefused

if TYPE_CHECKING:
    import torch

GROUPS = (("q_proj", "k_proj", "v_proj"), ("o_proj",), ("gate_proj", "up_proj"), ("down_proj",))
"""Projections by the input they share, in the order in which a layer applies them."""

Sizes = Mapping[str, tuple[int, int]]
"""Inputs and outputs of each projection, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """An adapter's matrices, those of one projection in one tensor over all layers."""

    rank: int
    scale: float
    a: "Mapping[str, torch.Tensor]"
    """By projection, [layers, rank, inputs]."""
    b: "Mapping[str, torch.Tensor]"
    """By projection, [layers, rank, outputs]."""


def overflown(member: str) -> AdapterRefused:
    """Return the error for a member whose adapter is finite, and what the base computes with it is not."""
    return AdapterRefused(
        f"{member!r} computes numbers that are not finite: its adapter's weights are too large for this base. "
        "Train the member again, with a smaller learning rate."
    )


class BoundDeltas:
    """The adapters of a batch's rows, by slot. A slot without one holds zeros: the bare base.

    Projections of one group are one product here as well: their A stand side by side. So do their B where all have as
    many outputs (gate and up); else they stand on a diagonal (queries, keys and values), and zeros are read with them.
    """

    def __init__(self, layers: int, sizes: Sizes) -> None:
        self._layers = layers
        self._sizes = sizes
        self._rank = 0
        self._bound: list[Delta | None] = []
        self._a: list[torch.Tensor] = []
        self._b: list[torch.Tensor] = []
        self._windows: dict[tuple[int, int], DeltaWindow] = {}

    def bind(self, slot: int, delta: Delta | None) -> bool:
        """Put an adapter into a slot, and return whether it had to be copied there; None empties the slot.

        There is room for as many slots and ranks as were asked for.
        """
        self._windows.clear()
        self._reserve(slot + 1, delta.rank if delta else 0)
        copied = self._bound[slot] is not delta
        self._fill(slot, delta)
        return copied

    def move(self, source: int, target: int) -> None:
        """Copy what is bound to one slot into another."""
        self._windows.clear()
        if self._bound[source] is not self._bound[target]:
            self._bound[target] = self._bound[source]
            for matrix in (*self._a, *self._b):
                matrix[:, target] = matrix[:, source]

    def window(self, slots: slice) -> "DeltaWindow | None":
        """Return the adapters of consecutive slots, just one where all have the same; None where none has any."""
        bound = self._bound[slots]
        if not any(bound):
            return None
        if all(delta is bound[0] for delta in bound):
            slots = slice(slots.start, slots.start + 1)
        key = (slots.start, slots.stop)
        if key not in self._windows:
            self._windows[key] = DeltaWindow([a[:, slots] for a in self._a], [b[:, slots] for b in self._b])
        return self._windows[key]

    def _reserve(self, slots: int, rank: int) -> None:
        """Make room for more slots, twice as many as there were, or for a higher rank; what is bound is bound anew."""
        import torch

        if slots <= len(self._bound) and rank <= self._rank:
            return
        bound, self._rank = self._bound, max(rank, self._rank)
        slots = max(slots, 2 * len(bound)) if slots > len(bound) else len(bound)
        self._bound = [None] * slots
        inputs = [self._sizes[group[0]][0] for group in GROUPS]
        ranks = [self._rank * len(group) for group in GROUPS]
        self._a = [torch.zeros(self._layers, slots, r, i) for i, r in zip(inputs, ranks, strict=True)]
        self._b = [torch.zeros(self._layers, slots, *self._b_shape(group)) for group in GROUPS]
        for slot, delta in enumerate(bound):
            self._fill(slot, delta)

    def _b_shape(self, group: tuple[str, ...]) -> tuple[int, int, int]:
        """Return blocks, ranks and outputs of a block."""
        outputs = [self._sizes[name][1] for name in group]
        if len(set(outputs)) == 1:
            return len(group), self._rank, outputs[0]
        return 1, self._rank * len(group), sum(outputs)

    def _fill(self, slot: int, delta: Delta | None) -> None:
        if self._bound[slot] is delta:
            return
        self._bound[slot] = delta
        for group, a, b in zip(GROUPS, self._a, self._b, strict=True):
            output = 0
            for place, name in enumerate(group):
                first, outputs = place * self._rank, slice(output, output := output + self._sizes[name][1])
                used = first + delta.rank if delta is not None and name in delta.a else first
                a[:, slot, used : first + self._rank] = 0.0  # which is enough: what B holds there is not reached
                if delta is not None and used > first:
                    a[:, slot, first:used] = delta.a[name]
                    block = b[:, slot, place, : delta.rank] if b.shape[2] > 1 else b[:, slot, 0, first:used, outputs]
                    block.copy_(delta.b[name]).mul_(delta.scale)  # scaled in float32, whatever the file's precision


class DeltaWindow:
    """The adapters of some rows, as one pass of the decoder adds them; a single one serves however many rows."""

    def __init__(self, a: "Sequence[torch.Tensor]", b: "Sequence[torch.Tensor]") -> None:
        # Views of all layers are taken at once: taking one costs as much as the product it is for. A lies transposed,
        # as in its file: so its product is faster for one token and for many.
        self._a = [matrices.unbind() for matrices in a]
        self._b = [matrices.unbind() for matrices in b]
        self._flat = [matrices.flatten(1, 2).unbind() for matrices in b]

    def add(self, y: "torch.Tensor", x: "torch.Tensor", group: int, layer: int) -> "torch.Tensor":
        """Add to ``y`` ([rows, tokens, outputs]) what the adapters make of ``x`` ([rows, tokens, inputs])."""
        import torch

        if len(x) > len(self._a[group][layer]) == 1:  # to one adapter, their tokens are those of one row
            return self.add(y.view(1, -1, y.shape[-1]), x.reshape(1, -1, x.shape[-1]), group, layer).view_as(y)
        inner = torch.bmm(self._a[group][layer], x.transpose(1, 2))
        if x.shape[1] == 1:
            b = self._flat[group][layer]
            items, rank, outputs = b.shape
            y.view(items, 1, outputs).baddbmm_(inner.view(items, 1, rank), b)
            return y
        blocks = self._b[group][layer].unbind(1)
        for block, part, u in zip(blocks, y.chunk(len(blocks), -1), inner.chunk(len(blocks), 1), strict=True):
            part.baddbmm_(u.transpose(1, 2), block)
        return y
