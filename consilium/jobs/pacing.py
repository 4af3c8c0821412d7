"""As many statements at one time as the engine takes on, found out while it works."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from consilium.engines.protocol import Continuation, Delta, Engine, Likelihood, Prompt, Spoken
from consilium.engines.wrapped import Wrapped
from consilium.errors import EngineBusy

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 5.0
KEPT = 0.9


class Pace:
    """How many may be under way: one more after each full round without refusal, a tenth fewer after one.

    Additive increase, multiplicative decrease (Chiu and Jain 1989, "Analysis of the Increase and Decrease
    Algorithms for Congestion Avoidance", section 3). A refusal costs little, unlike the lost packets that TCP halves
    its window for: the factor is that of Netflix's concurrency-limits (AIMDLimit), and keeps 95 % under way.
    """

    def __init__(self, *, start: int = 16, most: int = 256) -> None:
        self.limit = float(start)
        self.under_way = 0
        self._most = most
        self._round = 0
        self._changed = asyncio.Condition()

    async def begin(self) -> int:
        """Wait for a place; return the round it belongs to."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.under_way < int(self.limit))
            self.under_way += 1
            return self._round

    async def end(self, begun_in: int, *, refused: bool) -> None:
        """Give the place back, and say how it went; what one round is refused counts once."""
        async with self._changed:
            self.under_way -= 1
            if not refused:
                self.limit = min(self._most, self.limit + 1 / self.limit)
            elif begun_in == self._round:
                self.limit = max(1.0, self.limit * KEPT)
                self._round += 1
            self._changed.notify_all()


class PacedEngine(Wrapped):
    """An engine that waits where the one behind it is busy, so that no seat is lost to back-pressure.

    See `consilium.engines.protocol.Engine`. A statement's deadline runs from when the engine takes it on.
    """

    def __init__(self, engine: Engine, pace: Pace) -> None:
        super().__init__(engine)
        self._pace = pace

    async def generate(self, prompt: Prompt) -> AsyncIterator[Delta | Spoken]:
        """Yield the engine's statement, as soon as it takes it on."""
        wait_s = FIRST_WAIT_S
        while True:
            begun_in = await self._pace.begin()
            refused = begun = False
            try:
                async for piece in self._engine.generate(prompt):
                    begun = True
                    yield piece
                return
            except EngineBusy:
                if begun:
                    raise
                refused = True
            finally:
                await self._pace.end(begun_in, refused=refused)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def likelihood(self, continuations: Sequence[Continuation]) -> tuple[Likelihood, ...]:
        """Ask the engine, whose batches are its own."""
        return await self._engine.likelihood(continuations)
