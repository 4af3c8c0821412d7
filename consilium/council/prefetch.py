"""Adapters that are brought from the disk before anybody waits for them: those of whom the router thinks most."""

import asyncio
import logging
from collections.abc import Mapping

from consilium.engines.protocol import Engine
from consilium.errors import ConsiliumError
from consilium.members.catalogue import Catalogue

RATE = 0.1
"""How much the newest decision counts in a running average."""
RECENT = 50
"""Decisions of earlier turns that the averages begin with."""

_logger = logging.getLogger(__name__)


class Prefetch:
    """Keeps the running average of each member's score, and has an engine load the adapters of the highest.

    Where all adapters of the catalogue have room, all are loaded at the start and there is nothing more to do. Else
    half of the room is for these; the other half goes to whoever was heard last.

    Args:
        engine: what loads them.
        catalogue: whose members.
        room: adapters that the engine holds in memory.
    """

    def __init__(self, engine: Engine, catalogue: Catalogue, room: int) -> None:
        self._engine = engine
        self._all = list(catalogue.members)
        self._adapted = [member.name for member in catalogue.members.values() if member.adapter]
        self._room = room
        self._averages = dict.fromkeys(self._adapted, 0.0)
        self._task: asyncio.Task[None] | None = None

    @property
    def is_needed(self) -> bool:
        """Whether there are more adapters than room."""
        return len(self._adapted) > self._room

    def note(self, scores: Mapping[str, float]) -> None:
        """Take a decision's scores into the averages."""
        for name, average in self._averages.items():
            self._averages[name] = average + RATE * (scores.get(name, 0.0) - average)

    def wanted(self) -> list[str]:
        """Return the members whose adapters are worth having at hand, the likeliest last, so that they stay longest."""
        if not self.is_needed:
            return self._all
        likeliest = sorted(self._adapted, key=lambda name: -self._averages[name])
        return likeliest[: max(1, self._room // 2)][::-1]

    def start(self) -> None:
        """Have them loaded in the background, unless that is being done."""
        if self.is_needed and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._fetch())

    async def stop(self) -> None:
        """End what is being loaded."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _fetch(self) -> None:
        try:
            for name in self.wanted():  # one at a time: a seat that waits for its own adapter comes between
                await self._engine.ensure_ready([name])
        except ConsiliumError as error:
            _logger.warning("adapters were not loaded ahead of their need: %s", error)
