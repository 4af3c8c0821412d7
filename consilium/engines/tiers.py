"""The places that an adapter passes through on its way from the disk, and who stays there when there is no more room.

On disk lie as many as a user has. Some are held in memory, of this process or of a server, and some of those are what
the engine computes with. A tier keeps the books of one such place; whoever owns it moves the weights.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

TierName: TypeAlias = Literal["memory", "engine"]
CAPACITY = 64
"""Adapters that are held in memory at one time, unless said otherwise."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the times that adapters were needed in one place."""

    place: str
    """URL of the server; ``here`` for this process."""
    tier: TierName
    capacity: int
    hits: int = 0
    """Times that an adapter was needed and there."""
    loads: int = 0
    """Times that one was brought from the tier before."""
    ahead: int = 0
    """Of these loads, those that nobody waited for yet."""
    given_back: int = 0
    load_ms: float = 0.0
    """Milliseconds of all loads together."""

    def loaded(self, load_ms: float, *, ahead: bool = False) -> None:
        """Count a load."""
        self.loads += 1
        self.ahead += ahead
        self.load_ms += load_ms


class Tier:
    """The adapters in one place, by content name, least recently needed first.

    Args:
        tally: of that place; of more than its capacity, only those are kept that may not leave.
        pinned: content names that never leave.
    """

    def __init__(self, tally: Tally, *, pinned: Iterable[str] = ()) -> None:
        self.tally = tally
        self._pinned = frozenset(pinned)
        self._held: dict[str, None] = {}
        self._in_hand: Counter[str] = Counter()

    @property
    def names(self) -> list[str]:
        """Who is there, least recently needed first."""
        return list(self._held)

    def find(self, name: str, *, ahead: bool = False) -> bool:
        """Return whether an adapter is there, and note that it is needed now, or may be soon."""
        if name not in self._held:
            return False
        self._held[name] = self._held.pop(name)
        self.tally.hits += not ahead
        return True

    def leaving(self) -> str | None:
        """Take out the adapter that has to leave before another comes; None where there is room, or none may leave."""
        if len(self._held) < self.tally.capacity:
            return None
        idle = (name for name in self._held if not self._in_hand[name] and name not in self._pinned)
        if name := next(idle, None):
            self.forget(name)
            self.tally.given_back += 1
        return name

    def put(self, name: str, load_ms: float, *, ahead: bool = False) -> None:
        """Note that an adapter came, and after how long."""
        self._held[name] = None
        self.tally.loaded(load_ms, ahead=ahead)

    def forget(self, name: str) -> None:
        """Note that an adapter is not there after all."""
        self._held.pop(name, None)

    def reconcile(self, names: Iterable[str]) -> None:
        """Take it for true that these are there, and no others."""
        self._held = dict.fromkeys(names)

    def take(self, name: str) -> None:
        """Count a statement in hand, so that its adapter stays."""
        self._in_hand[name] += 1

    def give_back(self, name: str) -> None:
        """Count a statement as done."""
        self._in_hand[name] -= 1
