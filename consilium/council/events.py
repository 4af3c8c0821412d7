"""What `Council.stream` yields: one small value a happening, in a versioned envelope."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from consilium.council.turn import Turn
from consilium.ledger.entries import DecisionEntry, SeatEntry, StatementEntry

EVENT_VERSION = 1
"""Rises when a field changes its meaning or goes; new fields and kinds may come at any time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Envelope:
    turn_id: str
    seq: int
    """Place in the stream, from 0, without gaps."""
    v: int = EVENT_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted(_Envelope):
    """The turn is recorded; whatever happens now, it cannot vanish."""

    session_id: str
    kind: Literal["admitted"] = "admitted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided(_Envelope):
    """The router said who sits."""

    decision: DecisionEntry
    kind: Literal["decided"] = "decided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token(_Envelope):
    """A seat said a piece of its statement."""

    seat: int
    member: str
    text: str
    kind: Literal["token"] = "token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated(_Envelope):
    """A seat's statement is recorded, or the error that kept it from speaking."""

    seat: SeatEntry
    statement: StatementEntry
    kind: Literal["stated"] = "stated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concluded(_Envelope):
    """The turn is over and has a verdict. Always the last event."""

    turn: Turn
    kind: Literal["concluded"] = "concluded"


Event: TypeAlias = Admitted | Decided | Token | Stated | Concluded
