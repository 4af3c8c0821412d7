"""As many statements at one time as the engine takes on, found out while it works."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self

from consilium.engines.protocol import Continuation, Delta, Engine, EngineInfo, Likelihood, Message, Prompt, Spoken
from consilium.errors import EngineBusy

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 5.0


class Pace:
    """How many may be under way: one more after each full round without refusal, half as many after one.

    Additive increase, multiplicative decrease (Chiu and Jain 1989, "Analysis of the Increase and Decrease
    Algorithms for Congestion Avoidance", section 3).
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
                self.limit = max(1.0, self.limit / 2)
                self._round += 1
            self._changed.notify_all()


class PacedEngine:
    """An engine that waits where the one behind it is busy, so that no seat is lost to back-pressure.

    See `consilium.engines.protocol.Engine`. A statement's deadline runs from when the engine takes it on.
    """

    def __init__(self, engine: Engine, pace: Pace) -> None:
        self._engine = engine
        self._pace = pace

    async def __aenter__(self) -> Self:
        """Open the engine."""
        await self._engine.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the engine."""
        await self._engine.__aexit__(kind, error, trace)

    def describe(self) -> EngineInfo:
        """Say what the engine is."""
        return self._engine.describe()

    async def ensure_ready(self, members: Sequence[str]) -> None:
        """Make the members ready."""
        await self._engine.ensure_ready(members)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Count as the engine does."""
        return await self._engine.count_tokens(messages)

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
