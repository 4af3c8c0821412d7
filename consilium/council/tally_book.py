"""What an engine counted of its adapters while a council was open, as the ledger records it."""

from uuid import uuid4

from consilium.engines.protocol import Engine
from consilium.ledger.entries import TierEntry

_COUNTED = ("hits", "loads", "ahead", "given_back", "load_ms")


class TallyBook:
    """Opened with a council; an engine that served another one before is counted from here on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._run = uuid4().hex
        self._before = engine.describe().tiers

    def entries(self) -> list[TierEntry]:
        """Return what was counted since, of the places in which anything was."""
        found = []
        for before, after in zip(self._before, self._engine.describe().tiers, strict=True):
            counted = {name: getattr(after, name) - getattr(before, name) for name in _COUNTED}
            if any(counted.values()):
                found.append(
                    TierEntry(run=self._run, place=after.place, tier=after.tier, capacity=after.capacity, **counted)
                )
        return found
