"""Going through a whole ledger, a page at a time: a million turns do not fit in memory."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from consilium.ledger.entries import TurnEntry, TurnLog
from consilium.ledger.protocol import Ledger

PAGE = 500
"""Turns that are held in memory at a time."""
_BEFORE_ALL = TurnEntry(
    id="",
    session_id="",
    number=0,
    message="",
    options={},
    status="open",
    admitted_at=datetime.fromtimestamp(0, UTC),
)


async def pages(
    ledger: Ledger,
    *,
    session_id: str | None = None,
    unfinished: bool = False,
    after: TurnEntry | None = None,
    page: int = PAGE,
) -> AsyncIterator[Sequence[TurnLog]]:
    """Yield all turns, or those after one, oldest first, ``page`` at a time; arguments as for `Ledger.turns`.

    What is recorded while this goes on may or may not be among them.
    """
    last = after or _BEFORE_ALL
    while logs := await ledger.turns(session_id=session_id, unfinished=unfinished, after=last, limit=page):
        yield logs
        last = logs[-1].turn
