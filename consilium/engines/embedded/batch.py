"""The rows that are being spoken: they join and leave between steps, and a step is one pass for all of them."""

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from consilium.engines.embedded.deltas import BoundDeltas, Delta
from consilium.engines.embedded.drawing import draw
from consilium.engines.embedded.keys_values import KeysValues
from consilium.engines.embedded.prefixes import Prefixes
from consilium.engines.embedded.row import Row

if TYPE_CHECKING:
    import torch

    from consilium.engines.embedded.decoder import Decoder

MAX_ROWS = 32
"""Rows that speak at one time; more wait."""
MAX_ROOM = 40_960
"""Rows times the tokens of the longest, for which keys and values have room: 46 kB a token with the built-in base. A
row that is alone may be longer."""
READ_TOKENS = 128
"""Tokens of prompts that are read in one pass, and about as many between two steps, so that a long prompt does not
silence the others. Longer passes are no faster by the token."""


class Batch:
    """Rows in slots: first those that speak, and behind them at most one whose prompt is still being read."""

    def __init__(self, decoder: "Decoder", end_ids: frozenset[int], prefixes: Prefixes) -> None:
        self._decoder = decoder
        self._end_ids = end_ids
        self._prefixes = prefixes
        self._kv = self._room()
        self._deltas = BoundDeltas(decoder.layers_count, decoder.sizes)
        self._waiting: deque[tuple[Row, Delta | None]] = deque()
        self._speaking: list[Row] = []
        self._reading: Row | None = None

    @property
    def rows(self) -> list[Row]:
        """All rows in hand."""
        reading = [] if self._reading is None else [self._reading]
        return [*self._speaking, *reading, *(row for row, _ in self._waiting)]

    def add(self, row: Row, delta: Delta | None) -> None:
        """Let a row join as soon as there is room; ``delta`` is its member's adapter."""
        self._waiting.append((row, delta))

    def step(self) -> None:
        """Read on in the prompts, then let every row that has been read speak a token."""
        self._leave()
        budget = READ_TOKENS
        while budget > 0 and (row := self._reading or self._join()) is not None:
            budget -= self._read(row)
        self._leave()
        if self._speaking:
            self._speak()

    def _join(self) -> Row | None:
        """Seat the row that has waited longest; None where nobody waits, or there is no room yet."""
        while self._waiting and self._waiting[0][0].over:
            self._waiting.popleft()
        if not self._waiting or not self._has_room(self._waiting[0][0]):
            return None
        row, delta = self._waiting.popleft()
        slot = len(self._speaking)
        if slot == 0:
            self._kv = self._room()  # gives back what longer rows, or more of them, took up
        self._kv.reserve(slot + 1, row.most_tokens)
        self._deltas.bind(slot, delta)
        row.known, prefix = self._prefixes.find(row.adapter, row.token_ids)
        if prefix is not None:
            self._kv.write(slot, prefix, row.known)
        self._reading = row
        return row

    def _room(self) -> KeysValues:
        return KeysValues(self._decoder.layers_count, self._decoder.kv_heads, self._decoder.head_size)

    def _has_room(self, row: Row) -> bool:
        rows = len(self._speaking) + 1
        longest = max(row.most_tokens, *(other.most_tokens for other in self._speaking), 0)
        return rows == 1 or (rows <= MAX_ROWS and rows * longest <= MAX_ROOM)

    def _read(self, row: Row) -> int:
        """Read a piece of the prompt, and after the last speak the first token; return how many tokens were read."""
        if row.over:
            self._reading = None
            return 0
        piece = row.token_ids[row.known : row.known + READ_TOKENS]
        logits = self._forward([piece], [row], first_slot=len(self._speaking))
        if row.known == len(row.token_ids):
            self._reading = None
            self._speaking.append(row)
            draw(logits, [row], self._end_ids)
        return len(piece)

    def _speak(self) -> None:
        logits = self._forward([[row.drawn[-1]] for row in self._speaking], self._speaking, first_slot=0)
        draw(logits, self._speaking, self._end_ids)

    def _forward(self, pieces: Sequence[list[int]], rows: Sequence[Row], *, first_slot: int) -> "torch.Tensor":
        """Add a piece to each of consecutive rows; return the logits after it, [rows, vocabulary]."""
        import torch

        slots = slice(first_slot, first_slot + len(rows))
        ids = torch.tensor(pieces)
        positions = torch.tensor([[row.known] for row in rows]) + torch.arange(ids.shape[1])
        logits = self._decoder.forward(ids, positions, self._kv.window(slots, positions), self._deltas.window(slots))
        for row, piece in zip(rows, pieces, strict=True):
            row.known += len(piece)
        return logits[:, -1]

    def _leave(self) -> None:
        """Free the slots of rows that have ended; the last row moves into the hole, so that slots stay consecutive."""
        for slot in reversed(range(len(self._speaking))):
            row = self._speaking[slot]
            if not row.over:
                continue
            self._prefixes.keep(row.adapter, [*row.token_ids, *row.drawn][: row.known], self._kv.read(slot, row.known))
            last = len(self._speaking) - 1
            self._move(self._speaking[last], last, slot)
            self._speaking[slot] = self._speaking[last]
            self._speaking.pop()
            if self._reading is not None:
                self._move(self._reading, last + 1, last)

    def _move(self, row: Row, source: int, target: int) -> None:
        if source != target:
            self._kv.move(source, target, row.known)
            self._deltas.move(source, target)
