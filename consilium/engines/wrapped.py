"""An engine behind another: what a wrapper does not change it hands on."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from consilium.engines.protocol import Engine, EngineInfo, Message


class Wrapped:
    """The part of `consilium.engines.protocol.Engine` that the engine behind answers; wrappers add how it speaks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

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
