"""How a message is read for the coarse path: by its tokens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from consilium.routing.network import Batch
from consilium.routing.table import TokenTable

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENS = 256
"""Tokens of a message that are read: as many from its beginning as from its end."""


def encodable(text: str) -> str:
    """Return a text without lone surrogates, which no tokenizer takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


class Reader:
    """Reads messages with the base's tokenizer and embeddings."""

    def __init__(self, tokenizer: "Tokenizer", table: TokenTable) -> None:
        self._tokenizer = tokenizer
        self.table = table

    def read(self, message: str) -> list[int]:
        """Return the ids of a message's tokens, at least one."""
        ids: list[int] = self._tokenizer.encode(encodable(message), add_special_tokens=False).ids
        return [*ids[: TOKENS // 2], *ids[-TOKENS // 2 :]] if len(ids) > TOKENS else ids or [0]

    def batch(self, readings: Sequence[Sequence[int]]) -> Batch:
        """Lay messages side by side."""
        embeddings, lengths = self.table.embed(readings)
        return Batch(embeddings=embeddings, present=torch.arange(embeddings.shape[1]) < lengths[:, None])
