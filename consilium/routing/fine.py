"""The fast stage's fine path: each piece of a message votes for members, and the votes are added up."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from consilium.errors import MissingExtra
from consilium.routing.ngrams import BUCKETS, hashed, words_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix
    from torch import Tensor

    from consilium.routing.ngrams import Buckets

    Weights: TypeAlias = NDArray[np.float64]

PENALTY = 3e-6
"""Of large votes (L2)."""
EPOCHS = 30


class FinePath:
    """A gate for each piece: votes in bytes, [buckets, members], and what a piece counts.

    Args:
        votes: int8, [buckets, members].
        scales: float32, [members]; what a step of a member's votes is worth.
        bias: float32, [members].
        rarity: float16, [buckets]; what a piece of each bucket counts (idf).
    """

    def __init__(self, votes: "Tensor", scales: "Tensor", bias: "Tensor", rarity: "Tensor") -> None:
        self._votes, self._scales, self._bias, self._rarity = votes, scales, bias, rarity

    @classmethod
    def fit(cls, messages: Sequence[str], members: Sequence[int], count: int, *, seed: int = 0) -> "FinePath":
        """Fit logistic regressions, one member against the rest, by stochastic gradient descent.

        Args:
            messages: the requests; what stands there several times counts as often.
            members: the number of the right member of each.
            count: how many members there are; one without requests is never voted for.
            seed: of shuffling.

        Raises:
            MissingExtra: scikit-learn is not installed.
        """
        try:
            from scipy.sparse import diags
            from sklearn.linear_model import SGDClassifier
            from sklearn.preprocessing import normalize
        except ImportError as error:
            raise MissingExtra("fitting a router needs scikit-learn: pip install 'consilium[eval]'") from error
        times = Counter(zip(messages, members, strict=True))
        counts = _counts(message for message, _ in times)
        rarity = rarity_of(counts)
        model = SGDClassifier(loss="log_loss", alpha=PENALTY, max_iter=EPOCHS, tol=None, random_state=seed, n_jobs=-1)
        rows = normalize(counts @ diags(rarity.astype(np.float32)))
        model.fit(rows, [member for _, member in times], sample_weight=np.array(list(times.values()), np.float32))
        weights, bias = np.zeros((count, BUCKETS), np.float32), np.full(count, -10.0, np.float32)
        # Of two members scikit-learn fits one regression, the second against the first.
        two = len(model.classes_) == 2
        weights[model.classes_] = np.concatenate([-model.coef_, model.coef_]) if two else model.coef_
        bias[model.classes_] = np.concatenate([-model.intercept_, model.intercept_]) if two else model.intercept_
        scales = np.abs(weights).max(1).clip(1e-6) / 127
        votes = np.ascontiguousarray(np.rint(weights / scales[:, None]).astype(np.int8).T)
        as_tensor = torch.from_numpy
        return cls(as_tensor(votes), as_tensor(scales), as_tensor(bias), as_tensor(rarity))

    def logits(self, messages: Sequence[str]) -> "Tensor":
        """Return what the votes for each member come to, [messages, members]."""
        return torch.stack([self._sum(*self._weighted(message)) for message in messages])

    def pulls(self, message: str, member: int) -> list[tuple[str, float]]:
        """Return each word of a message with what its pieces add for a member beyond their mean for all."""
        found, weights = self._weighted(message)
        return [
            (word, float(votes[member] - votes.mean()))
            for word in words_of(message)
            for own in [np.isin(found, hashed(word)[0])]
            for votes in [self._sum(found[own], weights[own]) - self._bias]
        ]

    def _weighted(self, message: str) -> "tuple[Buckets, Weights]":
        """Return a message's pieces, each with its count times its rarity, so that their squares sum to 1 (tf-idf)."""
        found, counts = hashed(message)
        weights = counts * self._rarity.numpy()[found]
        return found, weights / np.sqrt(weights @ weights)

    def _sum(self, found: "Buckets", weights: "Weights") -> "Tensor":
        votes = self._votes[torch.from_numpy(found)].float()
        total: Tensor = torch.from_numpy(weights).float() @ votes * self._scales + self._bias
        return total

    def tensors(self) -> "dict[str, Tensor]":
        """Return what a file keeps."""
        return {
            "fine.votes": self._votes,
            "fine.scales": self._scales,
            "fine.bias": self._bias,
            "fine.rarity": self._rarity,
        }

    @classmethod
    def from_tensors(cls, tensors: "Mapping[str, Tensor]") -> "FinePath":
        """Return what a file kept. Raises KeyError where it has none."""
        return cls(*(tensors[f"fine.{name}"] for name in ("votes", "scales", "bias", "rarity")))


def rarity_of(counts: "csr_matrix") -> "np.ndarray[tuple[int], np.dtype[np.float16]]":
    """Return 1 + ln((1 + n) / (1 + how many of the n messages have a piece of the bucket)), [buckets]."""
    known = np.bincount(counts.indices, minlength=BUCKETS)
    return (1 + math.log(1 + counts.shape[0]) - np.log1p(known)).astype(np.float16)


def _counts(messages: Iterable[str]) -> "csr_matrix":
    """Return what `hashed` makes of each message, [messages, buckets], kept flat: each has hundreds of pieces."""
    from scipy.sparse import csr_matrix

    columns, values, starts = array("i"), array("f"), array("q", [0])
    for message in messages:
        buckets, counts = hashed(message)
        columns.frombytes(buckets.astype(np.int32).tobytes())
        values.frombytes(counts.astype(np.float32).tobytes())
        starts.append(len(columns))
    flat = (np.frombuffer(part, part.typecode) for part in (values, columns, starts))
    return csr_matrix(tuple(flat), shape=(len(starts) - 1, BUCKETS))
