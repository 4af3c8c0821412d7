"""One row as one turn, under an id that is the row's own: the ledger answers for what was paid before."""

import asyncio
import time
import uuid
from contextlib import suppress
from dataclasses import replace

from consilium.council.council import Council
from consilium.council.turn import Turn
from consilium.errors import BadInput, EngineLost, TurnBusy, TurnFailed, UnknownTurn
from consilium.jobs.pacing import Pace, PacedEngine
from consilium.jobs.request import RowRequest
from consilium.jobs.result import Result

BUSY_EVERY_S = 0.2
BUSY_S = 600.0
"""So long a row is waited for that somebody else who lives is playing: a worker given up for dead, or one whose driver
died and that has not noticed yet."""


def answering(council: Council, pace: Pace) -> Council:
    """Return the council as rows are put to it.

    It waits where its engine is busy. It keeps no checkpoints and recovers nothing by itself: each row that was cut off
    is taken up from the ledger when it is its turn.
    """
    parts = council.parts
    settings = parts.settings.model_copy(update={"recover": False})
    return Council(replace(parts, settings=settings, engine=PacedEngine(parts.engine, pace), checkpoints=None))


class RowTurns:
    """Plays the turns of a job's rows.

    Args:
        council: that plays them.
        job_id: of the job; the same row of another job is another turn.
        attempts: how often a row may fail in all: one, and one more for each retry.
        is_new: whether the ledger holds none of them for certain, and need not be asked.
    """

    def __init__(self, council: Council, *, job_id: str, attempts: int, is_new: bool) -> None:
        self._council = council
        self._job = uuid.UUID(job_id)
        self._attempts = attempts
        self._is_new = is_new

    async def answer(self, request: RowRequest) -> Result:
        """Return the row's result; an error of the row is its result.

        Raises:
            EngineLost: the engine answers nobody any more.
            LedgerError: the ledger cannot be read or written.
            TurnBusy: somebody else has been playing the row for ten minutes.
        """
        for attempt in range(self._attempts - 1):
            with suppress(EngineLost):  # in an earlier run
                if (result := await self._played(request, attempt)).error is None:
                    return result
        return await self._played(request, self._attempts - 1)

    async def _played(self, request: RowRequest, attempt: int) -> Result:
        turn_id = uuid.uuid5(self._job, f"{attempt}/{request.custom_id}").hex
        ledger = self._council.parts.ledger
        try:
            turn = await self._turn(request, turn_id)
        except BadInput as error:  # too long, say, or options of which the row's own contradict the job's
            known = turn_id if await self._is_known(turn_id) else None
            return Result.of_error(request.custom_id, request.model, error, turn_id=known)
        except TurnFailed as error:
            log = await ledger.load(turn_id)
            if log.statements and all(entry.error == EngineLost.__name__ for entry in log.statements):
                raise EngineLost(f"the engine was lost at row {request.custom_id!r}: {error}") from error
            return Result.of_error(request.custom_id, request.model, error, turn_id=turn_id)
        return Result.of_turn(request.custom_id, request.model, turn)

    async def _turn(self, request: RowRequest, turn_id: str) -> Turn:
        if not self._is_new and await self._is_known(turn_id):
            return await self._resumed(turn_id)
        return await self._council.ask(request.message, turn_id=turn_id, **request.options)

    async def _is_known(self, turn_id: str) -> bool:
        try:
            await self._council.parts.ledger.load(turn_id)
        except UnknownTurn:
            return False
        return True

    async def _resumed(self, turn_id: str) -> Turn:
        given_up = time.monotonic() + BUSY_S
        while True:
            try:
                return await self._council.resume(turn_id)
            except TurnBusy:
                if time.monotonic() > given_up:
                    raise
                await asyncio.sleep(BUSY_EVERY_S)
