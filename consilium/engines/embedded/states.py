"""What the bare base makes of a text midway: states of its tokens behind some of the layers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from consilium.engines.embedded.decoder import Decoder
from consilium.engines.embedded.keys_values import KeysValues
from consilium.engines.embedded.model import load_plain
from consilium.errors import BadSettings
from consilium.members.base import Base

if TYPE_CHECKING:
    import torch

STATES = ("last", "mean")
"""Of each row: the state of its last token, and the mean over its own. The last sees all of them but forgets what
stands before a closing remark; the mean forgets nothing and tells less apart."""
READ_TOKENS = 2_048
"""Rows times tokens that are read in one pass."""


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
        self._prefix: torch.Tensor | None = None  # keys and values, [layers, 2, heads, tokens, head size]
        with torch.inference_mode():
            self._decoder = Decoder(plain)
            if prefix:
                _, kv = self._pass([prefix])
                self._prefix = kv.read(0, len(prefix))

    def read(self, rows: Sequence[Sequence[int]]) -> "torch.Tensor":
        """Return `STATES` of each row, [rows, 2, hidden], float32.

        Args:
            rows: token ids behind the prefix, at least one each. Those of about the same length are read side by side;
                a row sees nothing of the others.
        """
        import torch

        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        found: list[torch.Tensor] = []
        start = 0
        with torch.inference_mode():
            while start < len(order):
                end = start + 1
                while end < len(order) and (end + 1 - start) * len(rows[order[end]]) <= READ_TOKENS:
                    end += 1
                states, _ = self._pass([rows[row] for row in order[start:end]])
                found.append(states)
                start = end
        return torch.cat(found)[torch.tensor(order).argsort()]

    def _pass(self, rows: Sequence[Sequence[int]]) -> "tuple[torch.Tensor, KeysValues]":
        """Read rows side by side; return their states, and keys and values.

        What fills up the shorter ones stands behind their ends, where nothing looks.
        """
        import torch

        ends = torch.tensor([len(row) - 1 for row in rows])
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
        known = 0 if self._prefix is None else self._prefix.shape[-2]
        positions = (known + torch.arange(ids.shape[1])).expand_as(ids)
        kv = KeysValues(self._decoder.layers_count, self._decoder.kv_heads, self._decoder.head_size)
        kv.reserve(len(rows), known + ids.shape[1], used=0, most=len(rows) * (known + ids.shape[1]))
        if self._prefix is not None:
            for slot in range(len(rows)):
                kv.write(slot, self._prefix, known)
        states = self._decoder.states(ids, positions, kv.window(slice(0, len(rows)), positions), None)
        own = torch.arange(ids.shape[1]) <= (ends - self._tail).clamp(min=0)[:, None]
        mean = (states * own[..., None]).sum(1) / own.sum(1, keepdim=True)
        return torch.stack([states[torch.arange(len(rows)), ends], mean], 1), kv
