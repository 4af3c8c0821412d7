"""Which adapters a server has in hand: loaded before they are needed, and given back when others need the room."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from consilium.engines.vllm.server import Server
from consilium.members.adapter import Adapter
from consilium.members.catalogue import Member

CAPACITY = 64
"""Adapters that a server is to know at one time."""


@dataclass(slots=True, kw_only=True)
class Counts:
    """What became of the times that adapters were needed."""

    hits: int = 0
    loads: int = 0
    unloads: int = 0
    load_ms: float = 0.0
    """Of all loads together."""


class ServedAdapters:
    """The adapters of one server, by content name, so that a name never means other weights.

    Args:
        server: what loads them.
        root: the folder of the personas here.
        seen_at: the same folder as the server sees it.
        pinned: content names that are never given back.
        capacity: how many are kept.
    """

    def __init__(
        self, server: Server, root: Path, seen_at: Path, *, pinned: Iterable[str] = (), capacity: int = CAPACITY
    ) -> None:
        self.counts = Counts()
        self._server = server
        self._root, self._seen_at = root, seen_at
        self._pinned = frozenset(pinned)
        self._capacity = capacity
        self._known: dict[str, None] = {}
        """Content names, least recently used first."""
        self._in_hand: Counter[str] = Counter()
        """By content name, statements that are being spoken."""
        self._fixed = False
        """Whether the server takes no adapters at run time: it knows them from its start, or finds them itself."""
        self._changing = asyncio.Lock()

    def reconcile(self, names: Iterable[str]) -> None:
        """Take what the server says that it serves for true: it may have been started anew."""
        self._known = dict.fromkeys(names)

    def forget(self, name: str) -> None:
        """Take note that the server does not know an adapter after all."""
        self._known.pop(name, None)

    @property
    def known(self) -> list[str]:
        """Names of the adapters that the server serves, least recently used first."""
        return list(self._known)

    async def ensure(self, member: Member) -> None:
        """Have the server know the member's adapter, giving others back where there is no room.

        Raises:
            AdapterMissing, Again: see `Server.load`.
        """
        if member.adapter is None or self._fixed:
            return
        name = member.content_name
        if name in self._known:
            self._known[name] = self._known.pop(name)
            self.counts.hits += 1
            return
        async with self._changing:
            if name in self._known:
                self.counts.hits += 1
                return
            await self._make_room()
            started = time.perf_counter()
            if not await self._server.load(name, str(self._path(member.adapter))):
                self._fixed = True
                return
            self._known[name] = None
            self.counts.loads += 1
            self.counts.load_ms += 1e3 * (time.perf_counter() - started)

    def take(self, name: str) -> None:
        """Count a statement in hand, so that its adapter stays."""
        self._in_hand[name] += 1

    def give_back(self, name: str) -> None:
        """Count a statement as done."""
        self._in_hand[name] -= 1

    async def _make_room(self) -> None:
        while len(self._known) >= self._capacity and (name := self._idle()):
            self.forget(name)  # first, so that whoever needs it meanwhile has it loaded again
            await self._server.unload(name)
            self.counts.unloads += 1

    def _idle(self) -> str | None:
        """Return the adapter that was not needed for longest, of those that may be given back."""
        return next((name for name in self._known if not self._in_hand[name] and name not in self._pinned), None)

    def _path(self, adapter: Adapter) -> Path:
        return self._seen_at / adapter.folder.relative_to(self._root)
