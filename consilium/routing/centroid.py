"""Nearest centroid: the member whose example requests lie closest to the message."""

import asyncio
import hashlib
import threading
from functools import partial
from typing import TYPE_CHECKING

from consilium.members.base import Base
from consilium.members.catalogue import Catalogue
from consilium.routing.embedding import TokenEmbedding
from consilium.routing.protocol import Decision, Request
from consilium.routing.selection import Selection
from consilium.threads import in_passing

if TYPE_CHECKING:
    import torch

TEMPERATURE = 0.1
"""Divides the cosines before the softmax. This and the next were chosen on the rows of docs/results/routing.md."""
MIN_COSINE = 0.16
"""Where no centroid is closer than this, nobody fits and the bare base sits."""


class CentroidRouter:
    """Scores each member by the cosine between the message and the mean of the member's example requests.

    Both are centred on the mean over all members, so that what all requests share does not count. It has no chance and
    no memory: the same message is always decided alike.
    """

    def __init__(self, base: Base, catalogue: Catalogue, selection: Selection | None = None) -> None:
        self._base = base
        self._catalogue = catalogue
        self._selection = selection or Selection()
        self._lock = threading.Lock()
        self._space: _Space | None = None

    def digest(self) -> str:
        """Return the sha256 over base, rule, every member's examples, and how seats are chosen."""
        rule = f"centroid 2 {TEMPERATURE} {MIN_COSINE}"
        parts = [self._base.name, rule, self._selection.identity(self._catalogue)]
        for name, member in self._catalogue.members.items():
            parts += [name, *member.persona.examples]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    async def route(self, request: Request) -> Decision:
        """Seat the likeliest members, or the bare base where nobody fits."""
        return await asyncio.to_thread(in_passing, partial(self._route, request))

    def _route(self, request: Request) -> Decision:
        with self._lock:
            if self._space is None:
                self._space = _Space(self._base, self._catalogue)
        cosines = self._space.cosines(request.message)
        scores = _softmax(cosines)
        nobody_fits = max(cosines.values()) < MIN_COSINE
        return self._selection.decide(
            scores, request, self._catalogue, router="centroid", digest=self.digest(), nobody_fits=nobody_fits
        )


class _Space:
    """Every member's centroid, [members, hidden size], each of length 1."""

    def __init__(self, base: Base, catalogue: Catalogue) -> None:
        import torch

        self._embedding = TokenEmbedding(base)
        self._names = list(catalogue.members)
        examples = [self._embedding.embed(member.persona.examples) for member in catalogue.members.values()]
        self._centre = torch.stack([rows.mean(0) for rows in examples]).mean(0)  # some have more examples than others
        self._centroids = torch.stack([_unit(_unit(rows - self._centre).mean(0)) for rows in examples])

    def cosines(self, text: str) -> dict[str, float]:
        point = _unit(self._embedding.embed([text])[0] - self._centre)
        return dict(zip(self._names, (self._centroids @ point).tolist(), strict=True))


def _unit(vectors: "torch.Tensor") -> "torch.Tensor":
    lengths: torch.Tensor = vectors.norm(dim=-1, keepdim=True)
    return vectors / lengths.clamp(min=1e-9)


def _softmax(cosines: dict[str, float]) -> dict[str, float]:
    import torch

    shares_ = (torch.tensor(list(cosines.values()), dtype=torch.float64) / TEMPERATURE).softmax(0)
    return dict(zip(cosines, shares_.tolist(), strict=True))
