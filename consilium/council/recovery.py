"""Taking up the turns that were cut off."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from consilium.council.turn import Turn
from consilium.errors import ConsiliumError, LedgerLocked, LedgerReadOnly, TurnBusy
from consilium.ledger.protocol import Ledger
from consilium.ledger.reading import pages

TRIES = 3
"""A turn that was begun so often and never ended is left alone, unless somebody asks for it: it may be what kills the
process each time."""
TOGETHER = 8
"""Turns that are played at the same time."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What became of one turn that had not ended."""

    turn_id: str
    turn: Turn | None
    """The turn with its verdict; None where there is an error."""
    error: Exception | None
    """`TurnBusy` where somebody who lives is playing it, `TurnFailed` where nobody made a statement. It need not be
    one of ours: what a defect does to one turn keeps nobody from the others."""


async def recover(
    ledger: Ledger, resume: Callable[[str], Awaitable[Turn]], *, tries: int | None
) -> AsyncIterator[Recovered]:
    """Resume every turn that has not ended, oldest first; yield what became of each.

    Args:
        ledger: where they are looked for.
        resume: plays one.
        tries: leave alone what was begun so often; None tries everything.
    """

    async def one(turn_id: str) -> Recovered:
        try:
            return Recovered(turn_id=turn_id, turn=await resume(turn_id), error=None)
        except Exception as error:  # whatever it is: raised here, it would cancel the turns beside this one
            return Recovered(turn_id=turn_id, turn=None, error=error)

    async for logs in pages(ledger, unfinished=True, page=TOGETHER):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(log.turn.id)) for log in logs if tries is None or log.turn.tries < tries]
        for found in [task.result() for task in tasks]:
            if isinstance(found.error, LedgerLocked | LedgerReadOnly):
                raise found.error  # so would be the next one
            yield found


async def recover_quietly(ledger: Ledger, resume: Callable[[str], Awaitable[Turn]]) -> None:
    """Do so at a council's start: whatever befalls it is logged, and no reason not to start."""
    try:
        async for found in recover(ledger, resume, tries=TRIES):
            if found.error is not None and not isinstance(found.error, ConsiliumError):
                _logger.warning("turn %s was cut off and cannot be taken up: %r", found.turn_id, found.error)
            elif not isinstance(found.error, TurnBusy):
                _logger.info("turn %s was cut off and is taken up: %s", found.turn_id, found.error or "concluded")
    except Exception as error:
        _logger.warning("turns that were cut off could not be taken up: %s", error)
