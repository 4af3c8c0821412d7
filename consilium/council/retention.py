"""Purging sessions: from the ledger, and from LangGraph's checkpoints, which hold the same texts."""

from collections.abc import AsyncIterator
from datetime import datetime

from consilium.council.checkpoints import open_saver
from consilium.council.parts import checkpoints_of
from consilium.errors import TurnBusy
from consilium.ledger.sql import SqlLedger


async def purge(ledger: SqlLedger, database: str, *session_ids: str) -> AsyncIterator[str]:
    """Remove sessions with their checkpoints; yield the id of each that is gone.

    The checkpoints go first: whoever dies between the two finds the session in the ledger, and purges it again.

    Args:
        ledger: open.
        database: its URL with the password, for the checkpoints.
        session_ids: which.

    Raises:
        UnknownTurn: there is no such session.
        TurnBusy: it is running; nothing of it was removed.
    """
    async with open_saver(checkpoints_of(database)) as saver:
        for session_id in session_ids:
            for turn_id in await ledger.idle_turns(session_id):
                await saver.adelete_thread(turn_id)
            await ledger.purge(session_id)
            yield session_id


async def purge_before(ledger: SqlLedger, database: str, moment: datetime) -> AsyncIterator[str]:
    """Remove every session whose newest turn was admitted before ``moment``; running ones stay."""
    for session_id in await ledger.sessions_before(moment):
        try:
            async for gone in purge(ledger, database, session_id):
                yield gone
        except TurnBusy:
            continue
