"""What the bare base makes of a text midway: states of its tokens behind some of the layers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from consilium.engines.embedded.decoder import Decoder
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

    Raises:
        BadSettings: the base has fewer layers.
    """

    def __init__(self, base: Base, depth: int, prefix: Sequence[int] = (), tail: int = 0) -> None:
        import torch

        plain = load_plain(base)
        if not 1 <= depth <= len(plain.model.layers):
            raise BadSettings(
                f"depth={depth}: the base {base.name!r} has {len(plain.model.layers)} layers. Choose one."
            )
        plain.model.layers = plain.model.layers[:depth]
        self._tail = tail
        with torch.inference_mode():
            self._reader = Reader(Decoder(plain), prefix)

    def read(self, rows: Sequence[Sequence[int]]) -> "torch.Tensor":
        """Return `STATES` of each row, [rows, 2, hidden], float32.

        Args:
            rows: token ids behind the prefix, at least one each; a row sees nothing of the others.
        """
        import torch

        found: dict[int, torch.Tensor] = {}
        with torch.inference_mode():
            for places, states in self._reader.read(rows):
                found.update(zip(places, self._summed_up(states, [len(rows[place]) for place in places]), strict=True))
        return torch.stack([found[place] for place in range(len(rows))])

    def _summed_up(self, states: "torch.Tensor", lengths: Sequence[int]) -> "torch.Tensor":
        """Return `STATES` of rows whose tokens' states these are, [rows, tokens, hidden]."""
        import torch

        ends = torch.tensor(lengths) - 1
        own = torch.arange(states.shape[1]) <= (ends - self._tail).clamp(min=0)[:, None]
        mean = (states * own[..., None]).sum(1) / own.sum(1, keepdim=True)
        return torch.stack([states[torch.arange(len(ends)), ends], mean], 1)
