"""The hierarchical router: seats members by what a cascade thinks of them, and says how it came to that."""

import asyncio
import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from consilium.errors import BadSettings
from consilium.members.base import Base
from consilium.members.catalogue import Catalogue
from consilium.routing.cascade import Cascade, Scores
from consilium.routing.hybrid import Found
from consilium.routing.protocol import Decision, Request
from consilium.routing.router_file import RouterTensors
from consilium.routing.selection import Selection
from consilium.threads import in_passing

if TYPE_CHECKING:
    from consilium.routing.cascade import Read


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """How a decision came about."""

    decision: Decision
    members: tuple[str, ...]
    """Those that the router was fitted for."""
    groups: tuple[str, ...]
    """Theirs, in the order of their numbers."""
    fast: Found
    """What the fast stage found, of these members and groups in this order."""
    trust: tuple[float, float]
    """How far groups and members follow the coarse path."""
    deep: dict[str, float] | None
    """What the deep stage thinks alone; None where it was not asked."""
    stay: float
    """How likely the message leaves it with whoever has just answered; 0 where nobody has."""
    pulls: tuple[tuple[str, float], ...]
    """Words, and how much they speak for the likeliest member on the fine path, those that do most first."""
    regrets: dict[str, float]
    """What seating each member is expected to lose; the first seat goes where that is least."""
    prices: dict[str, float]
    """How likely a member must be to sit beside a likelier one."""


class HierarchicalRouter:
    """Scores members by the fast stage, and by both where that is not sure enough.

    Members of the catalogue that it was not fitted on are added by the examples in their personas; with any of them the
    deep stage is asked each time, for the fast one does not know them.

    Args:
        file: a fitted router.
        encoder: the base that it reads with.
        catalogue: the members that may sit.
        selection: how scores become seats.
        read: reads messages in the encoder's place, see `Cascade`.

    Raises:
        BadSettings: the router knows a member that the catalogue does not hold, or reads with another base.
    """

    def __init__(
        self,
        file: RouterTensors,
        encoder: Base,
        catalogue: Catalogue,
        selection: Selection | None = None,
        read: "Read | None" = None,
    ) -> None:
        card = file.card
        if strangers := [name for name in card.members if name not in catalogue.members]:
            raise BadSettings(
                f"the router was fitted for {strangers[0]!r}, which the catalogue does not hold. Fit it anew: "
                "consilium train router."
            )
        self._file_digest = file.digest
        self._catalogue = catalogue
        self._selection = selection or Selection()
        self._newcomers = {
            name: member.persona.examples for name, member in catalogue.members.items() if name not in card.members
        }
        self._cascade = Cascade(file, encoder, self._newcomers, read)

    def digest(self) -> str:
        """Return the sha256 over the file, the members that it does not know, and how seats are chosen."""
        parts = [self._file_digest, self._selection.identity(self._catalogue)]
        for name, examples in self._newcomers.items():
            parts += [name, *examples]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    async def route(self, request: Request) -> Decision:
        """Seat who is expected to lose least and whoever is likely beside, or the fallback where nobody fits."""
        found = await asyncio.to_thread(in_passing, partial(self._found, request))
        return self._decision(found, request)

    async def explain(self, request: Request) -> Explanation:
        """Decide, and say how the decision came about."""
        found = await asyncio.to_thread(in_passing, partial(self._found, request))
        card, fast = self._cascade.card, self._cascade.fast
        first = max(found.scores, key=lambda name: found.scores[name])
        pulls = (
            fast.fine.pulls(self._cascade.read(request.message), card.members.index(first))
            if first in card.members
            else []
        )
        groups = {
            number: self._catalogue.get(name).persona.group
            for name, number in zip(card.members, card.group_of, strict=True)
        }
        return Explanation(
            decision=self._decision(found, request),
            members=card.members,
            groups=tuple(groups[number] for number in sorted(groups)),
            fast=found.fast,
            trust=fast.hybrid.trust(),
            deep=found.deep,
            stay=found.stay,
            regrets=found.regrets,
            pulls=tuple(sorted(dict(pulls).items(), key=lambda pull: -pull[1])),
            prices={name: self._selection.price(name, self._catalogue) for name in self._catalogue.members},
        )

    def _found(self, request: Request) -> Scores:
        return self._cascade.scores(request.message, request.sat[0] if request.sat else "")

    def _decision(self, found: Scores, request: Request) -> Decision:
        scores = {name: found.scores[name] for name in self._catalogue.members}
        return self._selection.decide(
            scores, request, self._catalogue, router="hierarchical", digest=self.digest(), regrets=found.regrets
        )
