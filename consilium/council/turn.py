"""What a turn came to, as a caller gets it."""

from dataclasses import dataclass

from consilium.errors import TurnFailed
from consilium.ledger.entries import DecisionEntry, SeatEntry, StatementEntry, TurnLog, VerdictEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One member's place in a turn, and what it said."""

    number: int
    member: str
    content_name: str
    """Which adapter exactly, ``slug@sha256[:12]``."""
    role: str
    """``speaker`` or ``chair``."""
    weight: float
    """The router's share for this seat."""
    statement: StatementEntry
    """Text, or error; tokens; latency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One user message and all that the council did for it."""

    id: str
    session_id: str
    number: int
    """Place in the session, from 1."""
    message: str
    decision: DecisionEntry
    """Who was to sit, and why."""
    seats: tuple[Seat, ...]
    """By number; a chair comes last."""
    verdict: VerdictEntry
    """The turn's answer."""
    latency_ms: float
    """Milliseconds from the call to the verdict; 0 where the turn was read back from the ledger."""

    @property
    def completion_tokens(self) -> int:
        """Tokens that all seats spoke."""
        return sum(seat.statement.completion_tokens for seat in self.seats)

    @classmethod
    def from_log(cls, log: TurnLog, *, latency_ms: float = 0.0) -> "Turn":
        """Put together what the ledger holds of a concluded turn.

        Raises:
            TurnFailed: it has no verdict; the message gives every seat's error.
        """
        statements = {entry.seat: entry for entry in log.statements}
        if log.decision is None or log.verdict is None:
            errors = [f"seat {s.seat}: {s.error}: {s.error_message}" for s in log.statements if s.error]
            raise TurnFailed(
                f"turn {log.turn.id} has no verdict (status {log.turn.status!r}). "
                + (" ".join(errors) or "It did not get as far as a statement; `council.resume` takes it up again.")
            )
        return cls(
            id=log.turn.id,
            session_id=log.turn.session_id,
            number=log.turn.number,
            message=log.turn.message,
            decision=log.decision,
            seats=tuple(_seat(seat, statements[seat.number]) for seat in log.seats if seat.number in statements),
            verdict=log.verdict,
            latency_ms=latency_ms,
        )


def _seat(seat: SeatEntry, statement: StatementEntry) -> Seat:
    return Seat(
        number=seat.number,
        member=seat.member,
        content_name=seat.content_name,
        role=seat.role,
        weight=seat.weight,
        statement=statement,
    )
