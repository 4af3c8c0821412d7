"""Routers that classify: a message goes in, a probability for each member comes out."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from consilium.errors import BadSettings
from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Decision, Request
from consilium.routing.selection import Selection
from consilium.threads import in_passing

Probabilities: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A message and the member that should sit for it."""

    message: str
    member: str
    sat: str = ""
    """The member that has just answered; empty for none."""
    source: str = ""
    """Which of its member's kinds of requests it is of: as many of each are learned from, as far as there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """Tells from messages how likely each member is the right one."""

    name: str
    members: tuple[str, ...]
    digest: str
    """Of all that its answers depend on, in hex."""
    probabilities: Callable[[Sequence[str]], Probabilities]
    """From messages to [messages, members]; each row sums to 1."""


class ClassifierRouter:
    """Seats members by a classifier's probabilities. Members that it does not know have none."""

    def __init__(self, classifier: Classifier, catalogue: Catalogue, selection: Selection | None = None) -> None:
        """Take the classifier.

        Raises:
            BadSettings: it knows a member that the catalogue does not hold.
        """
        if strangers := [name for name in classifier.members if name not in catalogue.members]:
            raise BadSettings(
                f"the {classifier.name} router knows {strangers[0]!r}, which the catalogue does not hold. "
                "Fit it on examples of the catalogue's members."
            )
        self._classifier = classifier
        self._catalogue = catalogue
        self._selection = selection or Selection()

    def digest(self) -> str:
        """Return the sha256 over the classifier's digest, and how seats are chosen among the catalogue's members."""
        parts = [self._classifier.digest, self._selection.identity(self._catalogue)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    async def route(self, request: Request) -> Decision:
        """Seat the likeliest members."""
        (row,) = await asyncio.to_thread(in_passing, partial(self._classifier.probabilities, [request.message]))
        known = dict(zip(self._classifier.members, row.tolist(), strict=True))
        scores = {name: known.get(name, 0.0) for name in self._catalogue.members}
        return self._selection.decide(
            scores, request, self._catalogue, router=self._classifier.name, digest=self.digest()
        )


def digest_of(name: str, examples: Iterable[Example]) -> str:
    """Return the sha256 over a classifier's name, with whatever settings it holds, and what it was fitted on."""
    digest = hashlib.sha256(name.encode())
    for example in examples:
        digest.update(f"\0{example.member}\0{example.message}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
