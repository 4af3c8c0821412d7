"""One row as one turn, under an id that is the row's own: the ledger answers for what was paid before."""

import uuid
from contextlib import suppress

from consilium.council.council import Council
from consilium.council.options import complete
from consilium.errors import BadMessage, EngineLost, TurnFailed
from consilium.jobs.request import RowRequest
from consilium.jobs.result import Result
from consilium.ledger.entries import ClosingEntry


class RowTurns:
    """Plays the turns of a job's rows.

    Args:
        council: that plays them, started.
        job_id: of the job; the same row of another job is another turn.
        attempts: how often a row may fail in all: one, and one more for each retry.
    """

    def __init__(self, council: Council, *, job_id: str, attempts: int) -> None:
        self._council = council
        self._job = uuid.UUID(job_id)
        self._attempts = attempts

    async def answer(self, request: RowRequest) -> Result:
        """Return the row's result; an error of the row is its result.

        Raises:
            EngineLost: the engine answers nobody any more.
            LedgerError: the ledger cannot be read or written.
        """
        for attempt in range(self._attempts - 1):
            with suppress(EngineLost):  # in an earlier run
                if (result := await self._played(request, attempt)).error is None:
                    return result
        return await self._played(request, self._attempts - 1)

    async def _played(self, request: RowRequest, attempt: int) -> Result:
        turn_id = uuid.uuid5(self._job, f"{attempt}/{request.custom_id}").hex
        parts = self._council.parts
        options = complete(request.options, parts.settings, parts.catalogue)
        await parts.ledger.admit(
            session_id=turn_id, turn_id=turn_id, message=request.message, options=options.model_dump(mode="json")
        )
        try:
            turn = await self._council.resume(turn_id)
        except BadMessage as error:  # too long, which is known only once the engine has counted
            await parts.ledger.record(ClosingEntry(turn_id=turn_id, status="failed"))
            return Result.of_error(request.custom_id, request.model, error, turn_id=turn_id)
        except TurnFailed as error:
            log = await parts.ledger.load(turn_id)
            if log.statements and all(entry.error == EngineLost.__name__ for entry in log.statements):
                raise EngineLost(f"the engine was lost at row {request.custom_id!r}: {error}") from error
            return Result.of_error(request.custom_id, request.model, error, turn_id=turn_id)
        return Result.of_turn(request.custom_id, request.model, turn)
