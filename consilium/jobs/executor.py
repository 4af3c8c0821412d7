"""Where the rows of a job are answered: here in this process, or elsewhere (see `consilium.jobs.ray_executor`)."""

import gc
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias

from consilium.council.council import Council
from consilium.jobs.pacing import Pace
from consilium.jobs.request import RowRequest
from consilium.jobs.result import Result
from consilium.jobs.row_turn import RowTurns, answering
from consilium.settings import Settings

Answer: TypeAlias = Callable[[RowRequest], Awaitable[Result]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a job, as whoever answers its rows knows it."""

    job_id: str
    attempts: int
    """How often a row may fail in all."""
    is_new: bool
    """Whether the job runs for the first time, so that none of its rows is in the ledger."""


class Executor(Protocol):
    """Opens whatever answers rows, for the time of one run.

    The job decides which row is begun when, and writes the results; an executor only answers, each row once for the
    ledger however often it has to begin.
    """

    def answers(self, council: Council, run: Run) -> AbstractAsyncContextManager[Sequence[Answer]]:
        """Yield as many functions as there are that answer rows; of the job's rows in hand each gets its share."""
        ...


def executor_of(settings: Settings) -> Executor:
    """Return the executor that the settings name; a worker's council is opened with the same settings.

    Raises:
        MissingExtra: Ray is not installed.
    """
    if settings.executor == "local":
        return LocalExecutor()
    from consilium.jobs.ray_executor import RayExecutor

    opened = partial(Council.open, **dict(settings))
    return RayExecutor(opened, workers=settings.workers, address=settings.ray_address)


class LocalExecutor:
    """Answers in this process, as many rows at one time as the engine takes on."""

    def __init__(self) -> None:
        self.pace = Pace()

    @asynccontextmanager
    async def answers(self, council: Council, run: Run) -> AsyncGenerator[Sequence[Answer]]:
        """Yield the one that there is here."""
        async with answering(council, self.pace) as council:
            turns = RowTurns(council, job_id=run.job_id, attempts=run.attempts, is_new=run.is_new)
            with _heap_frozen():
                yield [turns.answer]


@contextmanager
def _heap_frozen() -> Iterator[None]:
    """Keep the garbage collector from walking again and again over all that stands before the first row.

    Libraries, catalogue and engine outlive the job. A heap that the caller has frozen already stays so.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
