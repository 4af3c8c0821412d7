"""The `Ledger` seam."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from consilium.ledger.entries import EntryT, TurnEntry, TurnLog


class Ledger(Protocol):
    """Keeps what happened; the truth from which a turn can be replayed after any crash.

    A ledger is an asynchronous context manager: entering opens it and brings its schema up to date, leaving closes it.
    Every write is durable when the call returns, and insert-or-return: an entry whose key is already there changes
    nothing, and the entry that stands is returned instead. Calls may be made concurrently from one event loop, and
    other processes may write to the same database. A turn is played by whoever admitted or last claimed it, as long as
    that one lives.
    All calls raise `LedgerLocked` or `LedgerReadOnly` where the database says so.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def admit(self, *, session_id: str, turn_id: str, message: str, options: Mapping[str, Any]) -> TurnEntry:
        """Record a new turn at the end of its session, and the session if it is new.

        Returns:
            The turn with its number; the recorded one if ``turn_id`` was admitted before.
        """
        ...

    async def record(self, *entries: EntryT) -> tuple[EntryT, ...]:
        """Insert the entries in one transaction and return, in the same order, those that stand.

        Raises:
            UnknownTurn: an entry names a turn, seat or member that was never recorded; nothing is written.
            BadInput: an entry holds a value that cannot be kept, such as a score outside [0, 1]; nothing is written.
            OutcomeDiffers: another outcome stands under the key; nothing is written.
        """
        ...

    async def claim(self, turn_id: str) -> TurnLog:
        """Take a turn that has not ended, to play it again; return all that is recorded of it.

        A turn that has ended is returned as it is.

        Raises:
            UnknownTurn: no turn has that id.
            TurnBusy: somebody else who lives is playing it.
        """
        ...

    async def load(self, turn_id: str) -> TurnLog:
        """Return all that is recorded of one turn.

        Raises:
            UnknownTurn: no turn has that id.
        """
        ...

    async def turns(
        self,
        *,
        session_id: str | None = None,
        unfinished: bool = False,
        after: TurnEntry | None = None,
        limit: int = 20,
    ) -> Sequence[TurnLog]:
        """Return turns, oldest first: the newest ``limit``, or the first ``limit`` admitted after ``after``.

        Args:
            session_id: only those of this session.
            unfinished: only those that are open or interrupted.
            after: go on from this turn; turns of one moment come by id. `consilium.ledger.reading.pages` goes through
                a whole ledger so.
            limit: at most so many.

        Raises:
            UnknownTurn: no session has that id.
        """
        ...
