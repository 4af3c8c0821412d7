"""What was said before is not read again: keys and values of finished rows, kept for rows that begin alike."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

MAX_BYTES = 512 * 1024 * 1024
"""What may be kept; the entries that were not used for longest go first."""


class Prefixes:
    """Keys and values by the adapter that made them and the tokens they stand for.

    A session's history only grows, so that each of its turns begins with what the last one ended with; and every turn
    of a member begins with its system prompt.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, tuple[int, ...]], torch.Tensor] = OrderedDict()

    def find(self, adapter: str, ids: list[int]) -> "tuple[int, torch.Tensor | None]":
        """Return how many of the first tokens are known, and their keys and values (which may go on for longer).

        The last token is never counted: its logits are wanted, and they are not kept.
        """
        alike = {key: shared(key[1], ids) for key in self._kept if key[0] == adapter}
        best = max(alike, key=alike.__getitem__, default=None)
        if best is None or not (tokens := min(alike[best], len(ids) - 1)):
            return 0, None
        self._kept.move_to_end(best)
        return tokens, self._kept[best]

    def keep(self, adapter: str, ids: list[int], kv: "torch.Tensor") -> None:
        """Keep a row's keys and values, [layers, 2, heads, tokens, head size]; what it goes on from is dropped."""
        for key in [key for key in self._kept if key[0] == adapter and shared(key[1], ids) == len(key[1])]:
            self._drop(key)
        key = (adapter, tuple(ids))
        self._kept[key] = kv
        self._bytes += kv.nbytes
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[str, tuple[int, ...]]) -> None:
        self._bytes -= self._kept.pop(key).nbytes


def shared(known: Sequence[int], ids: Sequence[int]) -> int:
    """Return how many tokens both begin with.

    >>> shared((1, 2, 3), [1, 2, 4, 5])
    2
    """
    return next((n for n, (a, b) in enumerate(zip(known, ids, strict=False)) if a != b), min(len(known), len(ids)))
