"""Pinned seats: the caller names the members."""

from dataclasses import replace

from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Decision, Request, Router, certain, shares


class PinnedRouter:
    """Seats the members that a request names, and leaves requests that name none to another router.

    The other router's scores are kept in either case, so that the ledger can tell what it would have thought.

    Args:
        catalogue: the members.
        otherwise: the other router.
    """

    def __init__(self, catalogue: Catalogue, otherwise: Router) -> None:
        self._catalogue = catalogue
        self.otherwise = otherwise

    def digest(self) -> str:
        """Return the other router's digest."""
        return self.otherwise.digest()

    async def route(self, request: Request) -> Decision:
        """Seat the named members in the order given."""
        named = [member.name for member in self._catalogue.pick(request.members)]
        decision = await self.otherwise.route(request)
        if not named:
            return decision
        seats = shares(decision.scores, named)
        return replace(
            decision, router="pinned", seats=seats, propensities=certain(decision.scores, seats), abstained=False
        )
