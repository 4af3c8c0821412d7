"""Several servers of the same catalogue: each member has a home, so that its prefixes stay in one cache."""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from consilium.engines.vllm.adapters import ServedAdapters
from consilium.engines.vllm.server import Served, Server

SPILL = 4
"""So many more statements than the least busy server may a member's home have in hand before another is asked."""
REST_S = 1.0
"""A server that failed is left alone for so long, and for twice as long each time after."""
MOST_REST_S = 30.0


@dataclass(slots=True, kw_only=True, eq=False)
class Replica:
    """One server, what it has in hand, and whether it is left alone."""

    server: Server
    adapters: ServedAdapters
    served: Served | None = None
    greeting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while it is asked what it serves, which those who wait for it need not ask again."""
    in_hand: int = 0
    failures: int = 0
    rests_until: float = 0.0

    def failed(self) -> None:
        """Leave the server alone for a while, and ask it anew what it serves after that."""
        self.rests_until = time.monotonic() + min(MOST_REST_S, REST_S * 2**self.failures)
        self.failures += 1
        self.served = None

    def answered(self) -> None:
        """Take note that it is there."""
        self.failures, self.rests_until = 0, 0.0


def choose(replicas: Sequence[Replica], name: str) -> Replica:
    """Return the server that a member of that content name is heard on.

    The home is the server with the highest hash of name and URL (rendezvous hashing, Thaler and Ravishankar 1998), of
    those that do not rest; where all do, that which rests the shortest.
    """
    now = time.monotonic()
    awake = [each for each in replicas if each.rests_until <= now]
    if not awake:
        return min(replicas, key=lambda each: each.rests_until)
    least = min(awake, key=lambda each: each.in_hand)
    home = max(awake, key=lambda each: hashlib.sha256(f"{name}\0{each.server.url}".encode()).digest())
    return home if home.in_hand <= least.in_hand + SPILL else least
