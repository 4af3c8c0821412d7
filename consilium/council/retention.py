"""Purging sessions: from the ledger, and from LangGraph's checkpoints, which hold the same texts."""

import logging
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from consilium.errors import TurnBusy, UnknownTurn
from consilium.ledger.entries import now

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from consilium.ledger.sql import SqlLedger

_logger = logging.getLogger(__name__)


async def purge(
    ledger: "SqlLedger",
    saver: "BaseCheckpointSaver[str] | None",
    *session_ids: str,
    before: datetime | None = None,
) -> AsyncIterator[str]:
    """Remove sessions with their checkpoints; yield the id of each that is gone.

    The checkpoints go first: whoever dies between the two finds the session in the ledger, and purges it again.

    Args:
        ledger: open.
        saver: of the ledger's checkpoints, see `consilium.council.checkpoints.open_saver`.
        session_ids: which.
        before: leave those whose newest turn was not admitted before this moment; None removes all.

    Raises:
        UnknownTurn: there is no such session.
        TurnBusy: it is running; nothing of it was removed.
    """
    for session_id in session_ids:
        turn_ids = await ledger.idle_turns(session_id, before=before)
        if turn_ids is None:
            continue
        for turn_id in turn_ids:
            if saver is not None:
                await saver.adelete_thread(turn_id)
        if await ledger.purge(session_id, before=before):
            yield session_id


async def purge_before(
    ledger: "SqlLedger", saver: "BaseCheckpointSaver[str] | None", moment: datetime
) -> AsyncIterator[str]:
    """Remove every session whose newest turn was admitted before ``moment``; running ones stay.

    So do those that somebody goes on with while others are being removed.
    """
    for session_id in await ledger.sessions_before(moment):
        try:
            async for gone in purge(ledger, saver, session_id, before=moment):
                yield gone
        except (TurnBusy, UnknownTurn):  # somebody else may be purging too
            continue


async def retain_quietly(ledger: "SqlLedger", saver: "BaseCheckpointSaver[str] | None", days: int) -> None:
    """Purge what is older, at a council's start: whatever befalls it is logged, and no reason not to start."""
    try:
        async for gone in purge_before(ledger, saver, now() - timedelta(days=days)):
            _logger.info("session %s is gone: its newest turn was older than %d days", gone, days)
    except Exception as error:
        _logger.warning("sessions older than %d days could not be purged: %s", days, error)
