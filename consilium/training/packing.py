"""Batches in which the rows' common beginning is read once: the system prompt, which is half of a short row."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import torch

    TokenRow: TypeAlias = Mapping[str, Sequence[int]]

NOT_LEARNED = -100
"""torch's label for a token that no loss is taken of."""
ATTENTION_TOKENS = 900
"""Length of a sequence at which attention takes as long as all else in a layer (eager, two cores)."""
LENGTHS = 32
"""Sequences are padded to a multiple of it: oneDNN makes its kernels anew for each number of tokens."""


def pack(rows: "Sequence[TokenRow]") -> "dict[str, torch.Tensor]":
    """Lay rows behind their common beginning, several to a sequence. A collator for transformers' `Trainer`.

    Each row sees the beginning and itself, at the positions it would have alone: losses and gradients are those of a
    padded batch, of fewer tokens. As many rows share a sequence as costs least, for attention grows with its square.

    Args:
        rows: ``input_ids`` and ``labels`` of each, equally long; the first label is `NOT_LEARNED`.

    Returns:
        ``input_ids``, ``labels`` and ``position_ids`` of shape (sequences, length), and ``attention_mask``, which is
        added to the scores, of shape (sequences, 1, length, length).
    """
    shared = _shared(rows)
    own = [len(row["input_ids"]) - shared for row in rows]
    ways = (_groups(own, count) for count in range(1, len(rows) + 1))
    groups = min(ways, key=lambda groups: _cost([shared + sum(own[row] for row in group) for group in groups]))
    return _laid_out([[rows[row] for row in group] for group in groups], shared)


def _shared(rows: "Sequence[TokenRow]") -> int:
    """Return how many tokens all rows begin with, short of the last one before any learns.

    For a token is predicted by the one before it, which for a row's first own token is another row's last.
    """
    unlearned = min(next(i for i, label in enumerate(row["labels"]) if label != NOT_LEARNED) for row in rows)
    columns = enumerate(zip(*(row["input_ids"][: unlearned - 1] for row in rows), strict=True))
    return next((i for i, tokens in columns if len(set(tokens)) > 1), unlearned - 1)


def _groups(lengths: Sequence[int], count: int) -> list[list[int]]:
    """Share out the rows, the longest first, to whatever group is the shortest."""
    groups: list[list[int]] = [[] for _ in range(count)]
    filled = [0] * count
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        shortest = filled.index(min(filled))
        groups[shortest].append(row)
        filled[shortest] += lengths[row]
    return groups


def _cost(lengths: Sequence[int]) -> float:
    """Return what a batch of these sequences takes, padded, in tokens."""
    length = _padded(lengths)
    return len(lengths) * length * (1 + length / ATTENTION_TOKENS)


def _padded(lengths: Sequence[int]) -> int:
    return -(-max(lengths) // LENGTHS) * LENGTHS


def _laid_out(groups: "Sequence[Sequence[TokenRow]]", shared: int) -> "dict[str, torch.Tensor]":
    import torch

    def stacked(sequences: Sequence[Sequence[int]], filler: int = 0) -> "torch.Tensor":
        length = _padded([len(tokens) for tokens in sequences])
        return torch.tensor([[*tokens, *[filler] * (length - len(tokens))] for tokens in sequences])

    ids, labels, positions, owners = [], [], [], []
    for group in groups:
        sizes = [len(row["input_ids"]) for row in group]
        beginning = group[0]["input_ids"][:shared]
        ids.append([*beginning, *chain.from_iterable(row["input_ids"][shared:] for row in group)])
        labels.append([*[NOT_LEARNED] * shared, *chain.from_iterable(row["labels"][shared:] for row in group)])
        positions.append([*range(shared), *chain.from_iterable(range(shared, size) for size in sizes)])
        owners.append([*[-1] * shared, *chain.from_iterable([row] * (size - shared) for row, size in enumerate(sizes))])
    owner = stacked(owners)  # padding is the first row's: it comes last, where no token sees it
    own_or_shared = (owner[:, None, :] == owner[:, :, None]) | (owner[:, None, :] == -1)
    seen = own_or_shared.tril()
    return {
        "input_ids": stacked(ids),
        "labels": stacked(labels, NOT_LEARNED),
        "position_ids": stacked(positions),
        "attention_mask": torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None],
    }
