"""The base's token embeddings made narrow, so that a router carries its own and needs no language model."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_SAMPLE = 20_000
"""Tokens that the directions are found on."""


class TokenTable:
    """Embeddings of tokens, [tokens, width], kept in bytes with a scale for each token.

    Args:
        values: int8, [tokens, width].
        scales: float16, [tokens]; what a step of a token's values is worth.
    """

    def __init__(self, values: "Tensor", scales: "Tensor") -> None:
        self._values = values
        self._scales = scales

    @classmethod
    def reduced(cls, embeddings: "Tensor", width: int) -> "TokenTable":
        """Keep the directions in which the embeddings, [tokens, hidden], differ most (principal components).

        Each is scaled to the same spread, since what is common to most tokens says least about a message.
        """
        centred = embeddings - embeddings.mean(0)
        sample = centred[:: max(1, len(centred) // _SAMPLE)]
        spread, directions = torch.linalg.eigh(sample.T @ sample / len(sample))
        kept = directions[:, -width:] / spread[-width:].clamp(min=1e-9).sqrt()
        narrow = centred @ _signed(kept)
        scales = (narrow.abs().amax(-1).clamp(min=1e-6) / 127).half()
        values = (narrow / scales.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
        return cls(values, scales)

    @property
    def width(self) -> int:
        """Length of an embedding."""
        return self._values.shape[1]

    def embed(self, messages: Sequence[Sequence[int]]) -> "tuple[Tensor, Tensor]":
        """Return the embeddings of messages' tokens and how many each has.

        Args:
            messages: token ids of each, at least one.

        Returns:
            float32, [messages, tokens, width], with zeros behind each message's end; and int64, [messages].
        """
        lengths = torch.tensor([len(ids) for ids in messages])
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in messages], batch_first=True)
        found = self._values[ids].float() * self._scales[ids].float()[..., None]
        return found * (torch.arange(ids.shape[1]) < lengths[:, None])[..., None], lengths

    def tensors(self) -> "dict[str, Tensor]":
        """Return what a file keeps."""
        return {"table.values": self._values, "table.scales": self._scales}

    @classmethod
    def from_tensors(cls, tensors: "Mapping[str, Tensor]") -> "TokenTable":
        """Return what a file kept. Raises KeyError where it has none."""
        return cls(tensors["table.values"], tensors["table.scales"])


def _signed(directions: "Tensor") -> "Tensor":
    """Turn each direction so that its largest part is positive: which way it points is otherwise left to chance."""
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    return directions * largest.sign()
