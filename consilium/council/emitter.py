"""How the nodes of a turn tell what happens, without waiting for whoever listens."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from consilium.council.events import Decided, Event, Stated, Token
from consilium.ledger.entries import DecisionEntry, SeatEntry, StatementEntry, TurnStatus, VerdictEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What the ledger holds of a turn's end."""

    status: TurnStatus
    verdict: VerdictEntry | None


class Emitter:
    """Numbers the events of one turn and queues them for the caller.

    LangGraph has a stream of its own, but each piece that goes through it wakes the graph's loop: at nine tokens a
    turn it made the turn a third slower.
    """

    def __init__(self, turn_id: str, *, first_seq: int) -> None:
        self._turn_id = turn_id
        self._seq = first_seq
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self.ending: Ending | None = None
        """How the turn ended; None as long as that is not recorded."""

    def decided(self, decision: DecisionEntry) -> None:
        """Tell who sits."""
        self._put(Decided(turn_id=self._turn_id, seq=self._seq, decision=decision))

    def token(self, seat: SeatEntry, text: str) -> None:
        """Tell a piece of a statement."""
        self._put(Token(turn_id=self._turn_id, seq=self._seq, seat=seat.number, member=seat.member, text=text))

    def stated(self, seat: SeatEntry, statement: StatementEntry) -> None:
        """Tell a statement that is recorded."""
        self._put(Stated(turn_id=self._turn_id, seq=self._seq, seat=seat, statement=statement))

    def ended(self, ending: Ending) -> None:
        """Tell that the turn's end is recorded."""
        self.ending = ending
        self.close()

    def close(self) -> None:
        """Tell that nothing more will come."""
        self._queue.put_nowait(None)

    async def events(self) -> AsyncIterator[Event]:
        """Yield the events in order, until the end."""
        while (event := await self._queue.get()) is not None:
            yield event

    def _put(self, event: Event) -> None:
        self._seq += 1
        self._queue.put_nowait(event)
