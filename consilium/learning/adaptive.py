"""Routers that stand beside one another: the adaptive one beside the static, a candidate beside the live."""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

from consilium.learning.guard import RECENT, loses
from consilium.learning.memory import Memory
from consilium.learning.scored import scored
from consilium.ledger.entries import now
from consilium.routing.protocol import Decision, Request, Router

LATE = timedelta(minutes=10)
"""How far other processes' clocks may be behind. Once it has looked at all outcomes, older ones are not looked for."""


class AdaptiveRouter:
    """Learns from outcomes in the ledger who should sit, beside a static router.

    Before each decision it takes new outcomes into account, whichever process recorded them. What the static router
    answers is recorded beside the decision; where it would have done better of late, it decides instead, and what was
    learned stands beside.

    Args:
        static: the router that it starts from.
        memory: where its beliefs are kept.
    """

    def __init__(self, static: Router, memory: Memory) -> None:
        self.static = static
        self._memory = memory
        self._learned = -1
        self._looked: datetime | None = None
        self._trusted = True

    def digest(self) -> str:
        """Return the sha256 over the static router's digest, the learner, and how much it has learned."""
        learner = self._memory.learner
        parts = [learner.name(self.static.digest()), str(learner.selection), str(learner.patience), str(self._learned)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    async def route(self, request: Request) -> Decision:
        """Seat by what was learned, or by the static router where that does better."""
        decided = await self.static.route(request)
        looked = now()
        learned = await self._memory.learn(decided.digest, since=self._looked and self._looked - LATE)
        self._looked = looked
        if learned != self._learned:
            self._learned = learned
            turns = [scored(log) for log in await self._memory.ledger.turns(limit=RECENT)]
            self._trusted = not loses([turn for turn in turns if turn is not None], decided.digest)
        beliefs = await self._memory.recall(decided.digest)
        adapted = self._memory.learner.decide(decided, request, beliefs, self.digest())
        acting, other = (adapted, decided) if self._trusted else (decided, adapted)
        return replace(acting, beside=(*decided.beside, replace(other, beside=())))


class ShadowRouter:
    """Lets a candidate decide beside the live router; what it answers is recorded and never acted upon.

    Args:
        live: the router that decides.
        candidate: the one that is to be judged.
    """

    def __init__(self, live: Router, candidate: Router) -> None:
        self.live = live
        self._candidate = candidate

    def digest(self) -> str:
        """Return the live router's digest."""
        return self.live.digest()

    async def route(self, request: Request) -> Decision:
        """Decide as the live router does."""
        decided = await self.live.route(request)
        other = await self._candidate.route(request)
        return replace(decided, beside=(*decided.beside, replace(other, beside=())))
