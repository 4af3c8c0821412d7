"""Which adapters a server has in hand: loaded before they are needed, and given back when others need the room."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

from consilium.engines.tiers import CAPACITY, Tally, Tier
from consilium.engines.vllm.server import Server
from consilium.members.adapter import Adapter
from consilium.members.catalogue import Member


class ServedAdapters:
    """The adapters in the memory of one server, by content name, so that a name never means other weights.

    Which of them lie in the slots that it computes with is the server's own business: it takes those that are asked
    for, and tells nobody.

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
        self.tier = Tier(Tally(place=server.url, tier="memory", capacity=capacity), pinned=pinned)
        self._server = server
        self._root, self._seen_at = root, seen_at
        self._fixed = False
        """Whether the server takes no adapters at run time: it knows them from its start, or finds them itself."""
        self._changing = asyncio.Lock()

    async def ensure(self, member: Member, *, ahead: bool = False) -> None:
        """Have the server know the member's adapter, giving others back where there is no room.

        Args:
            member: whose adapter it is.
            ahead: that nobody waits for it yet.

        Raises:
            AdapterMissing, Again: see `Server.load`.
        """
        name = member.content_name
        if member.adapter is None or self._fixed or self.tier.find(name, ahead=ahead):
            return
        async with self._changing:
            if self.tier.find(name, ahead=ahead):
                return
            while leaving := self.tier.leaving():  # forgotten first, so that whoever needs it has it loaded again
                await self._server.unload(leaving)
            started = time.perf_counter()
            if await self._server.load(name, str(self._path(member.adapter))):
                self.tier.put(name, 1e3 * (time.perf_counter() - started), ahead=ahead)
            else:
                self._fixed = True

    def _path(self, adapter: Adapter) -> Path:
        return self._seen_at / adapter.folder.relative_to(self._root)
