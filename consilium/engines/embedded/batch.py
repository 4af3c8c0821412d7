"""The rows that are being spoken: they join and leave between steps, and a step is one pass for all of them."""

import time
from collections import deque
from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

from consilium.engines.embedded.deltas import BoundDeltas, Delta, overflown
from consilium.engines.embedded.drawing import draw
from consilium.engines.embedded.keys_values import KeysValues
from consilium.engines.embedded.prefixes import Prefixes
from consilium.engines.embedded.row import Row
from consilium.engines.tiers import Tally

if TYPE_CHECKING:
    import torch

    from consilium.engines.embedded.decoder import Decoder

MAX_ROWS = 32
"""Rows that speak at one time; more wait."""
MAX_ROOM = 40_960
"""Rows times the tokens of the longest, for which keys and values have room: 46 kB a token with the built-in base. A
row that is alone may be longer."""
KEPT_ROOM = 8_192
"""Room of this size is kept for the next rows: taking memory from the system costs more than many a token."""
READ_TOKENS = 256
"""Tokens of prompts that are read in one pass, and about as many between two steps, so that a long prompt does not
silence the others. Longer passes are no faster by the token."""
READ_ROWS = 8
"""Prompts that are read side by side; more wait, so that the first do not wait for the last."""


class Batch:
    """Rows in slots: first those that speak, and behind them those whose prompts are still being read."""

    def __init__(self, decoder: "Decoder", end_ids: frozenset[int], prefixes: Prefixes, slots: Tally) -> None:
        self._decoder = decoder
        self._end_ids = end_ids
        self._prefixes = prefixes
        self._slots = slots
        self._kv = self._new_room()
        self._deltas = BoundDeltas(decoder.layers_count, decoder.sizes)
        self._waiting: deque[tuple[Row, Delta | None]] = deque()
        self._speaking: list[Row] = []
        self._reading: list[Row] = []

    @property
    def rows(self) -> list[Row]:
        """All rows in hand."""
        return [*self._speaking, *self._reading, *(row for row, _ in self._waiting)]

    def add(self, row: Row, delta: Delta | None) -> None:
        """Let a row join as soon as there is room; ``delta`` is its member's adapter."""
        self._waiting.append((row, delta))

    def step(self) -> None:
        """Read on in the prompts, then let every row that has been read speak a token."""
        self._leave()
        self._join()
        budget = READ_TOKENS
        while budget > 0 and self._reading:
            budget -= self._read()
        self._leave()
        if self._speaking:
            self._speak()
            self._leave()  # now rather than when the next row has to wait for it

    def _join(self) -> None:
        """Seat those who have waited longest, as far as there is room, in slots behind the others."""
        joining: list[tuple[Row, Delta | None]] = []
        while self._waiting and len(self._reading) + len(joining) < READ_ROWS:
            row, delta = self._waiting[0]
            if not row.over:
                if not self._has_room(row, joining):
                    break
                joining.append((row, delta))
            self._waiting.popleft()
        if not joining:
            return
        first = len(self._speaking) + len(self._reading)
        if first == 0 and self._kv.room > KEPT_ROOM:
            self._kv = self._new_room()
        rows = [*self._speaking, *self._reading, *(row for row, _ in joining)]
        self._kv.reserve(len(rows), max(row.most_tokens for row in rows), used=first, most=MAX_ROOM)
        prefixes = {}
        for row, _ in joining:
            row.known, prefixes[row] = self._prefixes.find(row.adapter, row.token_ids)
        joining.sort(key=lambda pair: pair[0].unread)  # those that are read first get the slots behind the speakers
        for slot, (row, delta) in enumerate(joining, first):
            self._bind(slot, delta)
            if (prefix := prefixes[row]) is not None:
                self._kv.write(slot, prefix, row.known)
            self._reading.append(row)

    def _bind(self, slot: int, delta: Delta | None) -> None:
        started = time.perf_counter()
        copied = self._deltas.bind(slot, delta)
        if delta is not None and copied:
            self._slots.loaded(1e3 * (time.perf_counter() - started))
        elif delta is not None:
            self._slots.hits += 1

    def _new_room(self) -> KeysValues:
        return KeysValues(self._decoder.layers_count, self._decoder.kv_heads, self._decoder.head_size)

    def _has_room(self, row: Row, joining: list[tuple[Row, Delta | None]]) -> bool:
        others = [*self._speaking, *self._reading, *(other for other, _ in joining)]
        rows, longest = len(others) + 1, max(other.most_tokens for other in (row, *others))
        return rows == 1 or (rows <= MAX_ROWS and rows * longest <= MAX_ROOM)

    def _read(self) -> int:
        """Read on in the first prompts side by side; those that end speak their first token. Return the tokens read.

        The first sets the pace, and each beside it has as much to read as the one before or more: so no pass is padded,
        and the first end first.
        """
        steps = takewhile(lambda pair: pair[0].unread <= pair[1].unread, pairwise(self._reading))
        rows = [self._reading[0], *(row for _, row in steps)]
        passes = -(-rows[0].unread * len(rows) // READ_TOKENS)
        pace = -(-rows[0].unread // passes)
        pieces = [row.token_ids[row.known : row.known + pace] for row in rows]
        logits = self._forward(pieces, rows, first_slot=len(self._speaking))
        read = list(takewhile(lambda row: row.unread == 0, rows))
        if read:
            del self._reading[: len(read)]
            self._speaking.extend(read)
            self._draw(logits[: len(read)], read)
        return pace * len(rows)

    def _speak(self) -> None:
        logits = self._forward([[row.drawn[-1]] for row in self._speaking], self._speaking, first_slot=0)
        self._draw(logits, self._speaking)

    def _draw(self, logits: "torch.Tensor", rows: Sequence[Row]) -> None:
        heard = [index for index, row in enumerate(rows) if not row.over]
        if len(heard) < len(rows):
            logits, rows = logits[heard], [rows[index] for index in heard]
        if rows:
            draw(logits, rows, self._end_ids)

    def _forward(self, pieces: Sequence[list[int]], rows: Sequence[Row], *, first_slot: int) -> "torch.Tensor":
        """Add a piece to each of consecutive rows; return the logits after it, [rows, vocabulary]."""
        import torch

        slots = slice(first_slot, first_slot + len(rows))
        ids = torch.tensor(pieces)
        positions = torch.tensor([[row.known] for row in rows]) + torch.arange(ids.shape[1])
        logits = self._decoder.forward(ids, positions, self._kv.window(slots, positions), self._deltas.window(slots))
        for row, piece in zip(rows, pieces, strict=True):
            row.known += len(piece)
        logits = logits[:, -1]
        for row, finite in zip(rows, logits.sum(-1).isfinite().tolist(), strict=True):
            if not finite:
                row.fail(overflown(row.prompt.member))
        return logits

    def _leave(self) -> None:
        """Free the slots of rows that have ended; others move into the holes, so that slots stay consecutive."""
        for place in reversed(range(len(self._reading))):
            if self._reading[place].over:
                self._clean(self._reading.pop(place), len(self._speaking) + place)
                self._close_up(self._reading[place:], len(self._speaking) + place)
        for slot in reversed(range(len(self._speaking))):
            row = self._speaking[slot]
            if not row.over:
                continue
            if not row.failed:
                ids = [*row.token_ids, *row.drawn][: row.known]
                self._prefixes.keep(row.adapter, ids, self._kv.read(slot, row.known))
            self._clean(row, slot)
            last = len(self._speaking) - 1
            self._speaking[slot] = self._speaking[last]
            self._speaking.pop()
            if slot != last:
                self._move(self._speaking[slot], last, slot)
            self._close_up(self._reading, last)

    def _clean(self, row: Row, slot: int) -> None:
        """Leave no number behind that is not finite: the slot's next row weights what it has not reached with 0."""
        if row.failed:
            self._kv.clear(slot, row.known)

    def _close_up(self, rows: Sequence[Row], hole: int) -> None:
        """Move the rows behind a hole one slot on, in their order."""
        for slot, row in enumerate(rows, hole):
            self._move(row, slot + 1, slot)

    def _move(self, row: Row, source: int, target: int) -> None:
        self._kv.move(source, target, row.known)
        self._deltas.move(source, target)
