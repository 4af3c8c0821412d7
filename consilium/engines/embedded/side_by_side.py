"""Rows that begin alike, read side by side in few passes: what they begin with once, and weights once a pass."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from consilium.engines.embedded.decoder import Decoder
from consilium.engines.embedded.keys_values import KeysValues

if TYPE_CHECKING:
    import torch

    from consilium.engines.embedded.deltas import DeltaWindow

READ_TOKENS = 2_048
"""Rows times tokens that are read in one pass."""


class Reader:
    """Reads rows behind what all of them begin with. Its calls stand under torch's inference mode.

    Args:
        decoder: the base model, or the first layers of one.
        beginning: token ids, perhaps none.
        adapter: through which the rows are read, bound to one slot; None for the bare base.
    """

    def __init__(self, decoder: Decoder, beginning: Sequence[int] = (), adapter: "DeltaWindow | None" = None) -> None:
        self._decoder = decoder
        self._adapter = adapter
        self._known = len(beginning)
        self._beginning: torch.Tensor | None = None  # keys and values, [layers, 2, heads, tokens, head size]
        if beginning:
            _, kv = self._pass([beginning], known=0)
            self._beginning = kv.read(0, self._known)

    def read(self, rows: Sequence[Sequence[int]]) -> "Iterator[tuple[list[int], torch.Tensor]]":
        """Read rows, the short ones first, those of about the same length in one pass.

        Args:
            rows: token ids behind the beginning, at least one each. A row sees nothing of the others.

        Yields:
            Which rows a pass read, and the last layer's states of their tokens before they are normalised, [rows,
            tokens, hidden]; behind a row's own tokens stands what means nothing.
        """
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and (end + 1 - start) * len(rows[order[end]]) <= READ_TOKENS:
                end += 1
            states, _ = self._pass([rows[row] for row in order[start:end]], known=self._known)
            yield order[start:end], states
            start = end

    def _pass(self, rows: Sequence[Sequence[int]], *, known: int) -> "tuple[torch.Tensor, KeysValues]":
        """Read rows that stand behind ``known`` tokens. What fills up the shorter ones is where none of them looks."""
        import torch

        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
        positions = (known + torch.arange(ids.shape[1])).expand_as(ids)
        kv = KeysValues(self._decoder.layers_count, self._decoder.kv_heads, self._decoder.head_size)
        kv.reserve(len(rows), known + ids.shape[1], used=0, most=len(rows) * (known + ids.shape[1]))
        if self._beginning is not None:
            for slot in range(len(rows)):
                kv.write(slot, self._beginning, known)
        window = kv.window(slice(0, len(rows)), positions)
        return self._decoder.states(ids, positions, window, self._adapter), kv
