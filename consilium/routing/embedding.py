"""Texts as points: the base model's own token embeddings, averaged."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from consilium.errors import BaseCorrupt
from consilium.members.base import Base

if TYPE_CHECKING:
    import torch

_TENSOR = "model.embed_tokens.weight"


class TokenEmbedding:
    """Maps a text to the mean of its tokens' embeddings, each centred on the vocabulary's mean and scaled to length 1.

    Centring and scaling keep frequent tokens from drowning the rest (``docs/results/routing.md`` has the figures).
    Needs the embedding table only, not the model: one text takes well under a millisecond.
    """

    def __init__(self, base: Base) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(base.path / "tokenizer.json"))
        table = embedding_table(base.path)
        table -= table.mean(0)
        self._table = table / table.norm(dim=-1, keepdim=True).clamp(min=1e-9)

    def embed(self, texts: Sequence[str]) -> "torch.Tensor":
        """Return one row a text, [texts, hidden size], float32; a text without tokens is a row of zeros."""
        import torch

        from consilium.routing.reading import encodable

        rows = []
        for text in texts:
            ids = self._tokenizer.encode(encodable(text), add_special_tokens=False).ids
            rows.append(self._table[ids].mean(0) if ids else torch.zeros(self._table.shape[1]))
        return torch.stack(rows)


def embedding_table(folder: Path) -> "torch.Tensor":
    """Read the token embeddings, [vocabulary, hidden size], as float32 out of one or several safetensors files."""
    from safetensors import safe_open

    index = folder / "model.safetensors.index.json"
    name = json.loads(index.read_bytes())["weight_map"].get(_TENSOR) if index.exists() else "model.safetensors"
    if name is None or not (folder / name).exists():
        raise BaseCorrupt(f"{folder} holds no tensor {_TENSOR!r}. Use a base with a Llama-like layout.")
    with safe_open(folder / name, "pt") as file:
        names = file.keys()
        if _TENSOR not in names:
            raise BaseCorrupt(f"{folder / name} holds no tensor {_TENSOR!r}. Use a base with a Llama-like layout.")
        table: torch.Tensor = file.get_tensor(_TENSOR).float()
    return table
