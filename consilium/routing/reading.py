"""How a request is read for the coarse path: its tokens, those of what was said before, and who answered then."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from consilium.routing.network import Batch
from consilium.routing.table import TokenTable

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENS = 256
"""Tokens of a message that are read: as many from its beginning as from its end."""
EARLIER_TOKENS = 64
"""Tokens that are read of the message before, from its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One request as it was read."""

    ids: tuple[int, ...]
    """Of the message's tokens, at least one."""
    before: tuple[int, ...] = ()
    """Of the last tokens of the message before."""
    sat: int = -1
    """The number of the member that answered then; -1 for none."""


def encodable(text: str) -> str:
    """Return a text without lone surrogates, which no tokenizer takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


class Reader:
    """Reads requests with the base's tokenizer and embeddings."""

    def __init__(self, tokenizer: "Tokenizer", table: TokenTable) -> None:
        self._tokenizer = tokenizer
        self.table = table

    def read(self, message: str, before: str = "", sat: int = -1) -> Reading:
        """Read one request."""
        ids = self._ids(message)
        if len(ids) > TOKENS:
            ids = [*ids[: TOKENS // 2], *ids[-TOKENS // 2 :]]
        return Reading(ids=tuple(ids) or (0,), before=tuple(self._ids(before)[-EARLIER_TOKENS:]), sat=sat)

    def batch(self, readings: Sequence[Reading]) -> Batch:
        """Lay readings side by side."""
        embeddings, lengths = self.table.embed([(*reading.before, *reading.ids) for reading in readings])
        places = torch.arange(embeddings.shape[1])
        return Batch(
            embeddings=embeddings,
            present=places < lengths[:, None],
            earlier=places < torch.tensor([len(reading.before) for reading in readings])[:, None],
            sat=torch.tensor([reading.sat for reading in readings]),
        )

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(encodable(text), add_special_tokens=False).ids
        return ids
