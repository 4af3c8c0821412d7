"""`MemoryLedger`: the shipped test double. It keeps the ledger's promises until the process ends."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, Self, cast

from consilium.errors import BadInput, UnknownTurn
from consilium.ledger.entries import (
    UNFINISHED,
    ClosingEntry,
    DecisionEntry,
    Entry,
    EntryT,
    MemberEntry,
    OutcomeEntry,
    SeatEntry,
    StatementEntry,
    TierEntry,
    TurnEntry,
    TurnLog,
    VerdictEntry,
    differs,
    now,
)

_KEYS: Mapping[type[Entry], tuple[str, ...]] = {
    MemberEntry: ("content_name",),
    SeatEntry: ("turn_id", "number"),
    DecisionEntry: ("turn_id",),
    StatementEntry: ("turn_id", "seat", "attempt"),
    VerdictEntry: ("turn_id",),
    ClosingEntry: ("turn_id",),
    OutcomeEntry: ("key",),
    TierEntry: ("run", "place", "tier"),
}

_Key = tuple[type[Entry], tuple[object, ...]]


def _place(turn: TurnEntry) -> tuple[datetime, str]:
    return turn.admitted_at, turn.id


class MemoryLedger:
    """Keeps entries in a dictionary, by kind and key. See `consilium.ledger.protocol.Ledger`."""

    def __init__(self) -> None:
        self._turns: dict[str, TurnEntry] = {}
        self._entries: dict[_Key, Entry] = {}

    async def __aenter__(self) -> Self:
        """Open the ledger; what an earlier opening recorded is still there."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the ledger."""

    async def admit(self, *, session_id: str, turn_id: str, message: str, options: Mapping[str, Any]) -> TurnEntry:
        """Record a new turn at the end of its session."""
        if turn_id not in self._turns:
            number = 1 + sum(turn.session_id == session_id for turn in self._turns.values())
            self._turns[turn_id] = TurnEntry(
                id=turn_id,
                session_id=session_id,
                number=number,
                message=message,
                options=options,
                status="open",
                admitted_at=now(),
            )
        return self._turns[turn_id]

    async def record(self, *entries: EntryT) -> tuple[EntryT, ...]:
        """Insert the entries, all or none, and return those that stand."""
        before = dict(self._turns), dict(self._entries)
        try:
            return cast("tuple[EntryT, ...]", tuple(self._record(entry) for entry in entries))
        except BadInput:
            self._turns, self._entries = before
            raise

    async def load(self, turn_id: str) -> TurnLog:
        """Return all that is recorded of one turn."""
        if turn_id not in self._turns:
            raise UnknownTurn(f"the ledger holds no turn {turn_id!r}.")
        return self._log(self._turns[turn_id])

    async def claim(self, turn_id: str) -> TurnLog:
        """Take a turn that has not ended; nobody else can see this ledger, so that it is always free."""
        log = await self.load(turn_id)
        if log.turn.status in UNFINISHED:
            self._turns[turn_id] = replace(log.turn, status="open", tries=log.turn.tries + 1)
            self._entries.pop((ClosingEntry, (turn_id,)), None)
        return await self.load(turn_id)

    async def turns(
        self,
        *,
        session_id: str | None = None,
        unfinished: bool = False,
        after: TurnEntry | None = None,
        limit: int = 20,
    ) -> Sequence[TurnLog]:
        """Return turns, oldest first: the newest ``limit``, or the first ``limit`` admitted after ``after``."""
        chosen = [turn for turn in self._turns.values() if session_id in (None, turn.session_id)]
        if session_id is not None and not chosen:
            raise UnknownTurn(f"the ledger holds no session {session_id!r}.")
        if unfinished:
            chosen = [turn for turn in chosen if turn.status in UNFINISHED]
        if after is not None:
            later = [turn for turn in chosen if _place(turn) > _place(after)]
            chosen = sorted(later, key=_place)[:limit]
        return [self._log(turn) for turn in chosen[max(0, len(chosen) - limit) :]]

    def _record(self, entry: Entry) -> Entry:
        key: _Key = (type(entry), tuple(getattr(entry, name) for name in _KEYS[type(entry)]))
        standing = self._entries.get(key)
        if isinstance(standing, OutcomeEntry) and isinstance(entry, OutcomeEntry) and not standing.agrees(entry):
            raise differs(standing, entry)
        left_off = isinstance(standing, ClosingEntry) and standing.status == "interrupted"
        if standing is not None and not left_off:
            return standing
        self._check_references(entry)
        if isinstance(entry, OutcomeEntry) and not 0 <= entry.score <= 1:  # also false for NaN
            raise BadInput(f"score={entry.score!r} is not in [0, 1]; nothing was written.")
        if isinstance(entry, OutcomeEntry) and not 0 < entry.weight <= 1e9:
            raise BadInput(f"weight={entry.weight!r} is not in (0, 1e9]; nothing was written.")
        if isinstance(entry, DecisionEntry):
            entry = replace(entry, seats=tuple(cast("SeatEntry", self._record(seat)) for seat in entry.seats))
        elif isinstance(entry, ClosingEntry):
            self._turns[entry.turn_id] = replace(self._turns[entry.turn_id], status=entry.status)
        self._entries[key] = entry
        return entry

    def _check_references(self, entry: Entry) -> None:
        if isinstance(entry, MemberEntry | TierEntry):
            return
        if entry.turn_id not in self._turns:
            raise UnknownTurn(f"the ledger holds no turn {entry.turn_id!r}; nothing was written.")
        if isinstance(entry, SeatEntry) and (MemberEntry, (entry.content_name,)) not in self._entries:
            raise UnknownTurn(f"the ledger holds no member {entry.content_name!r}; nothing was written.")
        seat = entry.source_seat if isinstance(entry, VerdictEntry) else getattr(entry, "seat", None)
        if seat is not None and (SeatEntry, (entry.turn_id, seat)) not in self._entries:
            raise UnknownTurn(f"turn {entry.turn_id!r} has no seat {seat!r}; nothing was written.")

    def _log(self, turn: TurnEntry) -> TurnLog:
        mine = [
            e for e in self._entries.values() if not isinstance(e, MemberEntry | TierEntry) and e.turn_id == turn.id
        ]
        seats = sorted((e for e in mine if isinstance(e, SeatEntry)), key=lambda e: e.number)
        statements = sorted((e for e in mine if isinstance(e, StatementEntry)), key=lambda e: (e.seat, e.attempt))
        outcomes = sorted((e for e in mine if isinstance(e, OutcomeEntry)), key=lambda e: (e.scored_at, e.key))
        return TurnLog(
            turn=turn,
            decision=next((e for e in mine if isinstance(e, DecisionEntry)), None),
            seats=tuple(seats),
            statements=tuple(statements),
            verdict=next((e for e in mine if isinstance(e, VerdictEntry)), None),
            outcomes=tuple(outcomes),
        )
