"""What the bare base makes of a text midway: states of its tokens behind some of the layers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from consilium.engines.embedded.decoder import Decoder
from consilium.engines.embedded.deltas import BoundDeltas, Delta
from consilium.engines.embedded.model import load_plain
from consilium.engines.embedded.side_by_side import Reader
from consilium.errors import BadSettings
from consilium.members.base import Base

if TYPE_CHECKING:
    import torch

STATES = ("last", "mean")
"""Of each row: the state of its last token, and the mean over its own. The last sees all of them but forgets what
stands before a closing remark; the mean forgets nothing and tells less apart."""


class StateReader:
    """Runs the first layers of a base model. Not safe to call from two threads at once.

    Args:
        base: the model.
        depth: how many of its layers; the others are not kept.
        prefix: token ids that every row begins with; they are read once.
        tail: how many tokens every row ends with that are not its own.
        adapter: of these layers, through which they read; None for the bare base.

    Raises:
        BadSettings: the base has fewer layers.
    """

    def __init__(
        self, base: Base, depth: int, prefix: Sequence[int] = (), tail: int = 0, adapter: Delta | None = None
    ) -> None:
        import torch

        plain = load_plain(base)
        if not 1 <= depth <= len(plain.model.layers):
            raise BadSettings(
                f"depth={depth}: the base {base.name!r} has {len(plain.model.layers)} layers. Choose one."
            )
        plain.model.layers = plain.model.layers[:depth]
        self._tail = tail
        with torch.inference_mode():
            decoder = Decoder(plain)
            deltas = BoundDeltas(decoder.layers_count, decoder.sizes)
            deltas.bind(0, adapter)
            self._reader = Reader(decoder, prefix, deltas.window(slice(0, 1)))

    def read(self, rows: Sequence[Sequence[int]]) -> "torch.Tensor":
        """Return `STATES` of each row, [rows, 2, hidden], float32.

        Args:
            rows: token ids behind the prefix, at least one each; a row sees nothing of the others.
        """
        import torch

        found: dict[int, torch.Tensor] = {}
        with torch.inference_mode():
            for places, states in self._reader.read(rows):
                lengths = torch.tensor([len(rows[place]) for place in places])
                found.update(zip(places, summed_up(states, lengths, self._tail), strict=True))
        return torch.stack([found[place] for place in range(len(rows))])


def summed_up(states: "torch.Tensor", lengths: "torch.Tensor", tail: int) -> "torch.Tensor":
    """Return `STATES` of rows whose tokens' states these are, [rows, 2, hidden].

    Args:
        states: of each row's tokens, and of what fills up the shorter rows, [rows, tokens, hidden].
        lengths: tokens of each row, [rows].
        tail: how many of them, at its end, are not its own.
    """
    import torch

    ends = lengths - 1
    own = torch.arange(states.shape[1]) <= (ends - tail).clamp(min=0)[:, None]
    mean = (states * own[..., None]).sum(1) / own.sum(1, keepdim=True)
    return torch.stack([states[torch.arange(len(ends)), ends], mean], 1)
