"""What the nodes of a turn work with; it travels in LangGraph's runtime context, never in the state."""

from dataclasses import dataclass

from consilium.council.emitter import Emitter
from consilium.engines.protocol import Engine
from consilium.ledger.entries import SeatEntry, StatementEntry, TurnLog
from consilium.ledger.protocol import Ledger
from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Router


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnContext:
    """Engine, router, ledger and catalogue of the council, and what the ledger already knows of this turn."""

    catalogue: Catalogue
    router: Router
    engine: Engine
    ledger: Ledger
    deadline_s: float
    """Seconds each seat has."""
    seed: int
    emitter: Emitter
    """Where the nodes tell what happens."""
    known: TurnLog | None = None
    """The turn's record if it ran before, so that nothing is decided or paid twice."""

    def known_statement(self, seat: SeatEntry) -> StatementEntry | None:
        """Return the statement that the ledger holds for this seat, if any."""
        statements = self.known.statements if self.known else ()
        return next((entry for entry in statements if entry.seat == seat.number), None)
