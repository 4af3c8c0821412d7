"""A job's rows on a Ray cluster: one on this machine that lives as long as the run, or one that runs already.

Rows are put to actors one by one, by the loop that answers them here too, and are not sharded with Ray Data. Ray Data
begins rows when it sees fit: it reads ahead and queues blocks at its actors, so that neither a budget nor ^C nor a
cancellation could keep a row from being paid for. It hands results on a block at a time, and where a worker dies it
counts those that were handed on already by their place, which takes for granted that they come in the same order again;
ours come as they are done. A call costs two to four milliseconds, a row at an engine seconds.

Who answers a row is settled by who has a place free, and who replaces a dead worker is Ray's business: an actor is made
anew where there is room, and gets the calls again that it had not answered. What it finds of their rows in the ledger
is not paid again.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from consilium.concurrency import all_of
from consilium.council.council import Council
from consilium.errors import ConsiliumError, EngineLost, JobError, MissingExtra
from consilium.jobs.executor import Answer, Run
from consilium.jobs.footing import Footing
from consilium.jobs.pacing import Pace
from consilium.jobs.request import RowRequest
from consilium.jobs.result import Result
from consilium.jobs.row_turn import RowTurns, answering
from consilium.settings import keep_ray_quiet

Found = TypeVar("Found")

START_S = 600.0
"""Seconds that the workers have to find room on the cluster and to open their councils."""
RESTARTS = 20
"""How often each worker is made anew, so that a row which kills whoever answers it ends the job at last. Calls are
repeated without end meanwhile: while a node is not yet known to be dead, Ray repeats them every few seconds."""
STORE_BYTES = 100 * 2**20
"""Of the local cluster's object store, through which next to nothing goes: rows and results travel with the calls."""


class RayExecutor:
    """Answers on a Ray cluster, with a council in each worker.

    Args:
        open_council: opens a worker's council, over there; it is pickled. It must come to the same members and ledger
            as the job's.
        workers: how many; each takes one processor's place on the cluster, and one that finds none waits for it.
        address: of a cluster that runs; without one a cluster on this machine is started for the run. In a process
            that is connected to Ray already, that is used.

    Raises:
        MissingExtra: Ray is not installed.

    ::

        settings = {"engine": "vllm", "database": "postgresql+psycopg://…"}
        executor = RayExecutor(partial(Council.open, **settings), workers=8, address="10.0.0.1:6379")
        job = Job(Council.open(**settings), executor=executor, input="in.jsonl", output="out.jsonl")
    """

    def __init__(self, open_council: Callable[[], Council], *, workers: int = 2, address: str | None = None) -> None:
        keep_ray_quiet()
        try:
            import ray  # noqa: F401 -- whether it is there
        except ImportError as error:
            raise MissingExtra("a job on a Ray cluster needs Ray: pip install 'consilium[ray]'") from error
        self._open_council = open_council
        self._workers = workers
        self._address = address

    @asynccontextmanager
    async def answers(self, council: Council, run: Run) -> AsyncGenerator[Sequence[Answer]]:
        """Yield one for each worker, all of them ready.

        Raises:
            BadSettings: a worker does not stand on the same members and ledger.
            JobError: the cluster cannot be reached, or has no room.
        """
        footing = Footing.of(council)
        with _cluster(self._address, self._workers):
            import ray

            made: Any = ray.remote(_Worker).options(
                num_cpus=1,
                max_restarts=RESTARTS,
                max_task_retries=-1,
                max_concurrency=4_096,
                scheduling_strategy="SPREAD",
            )
            workers = [made.remote(self._open_council, run, footing, Path.cwd()) for _ in range(self._workers)]
            try:
                await self._begun(workers)
                yield [_answer(worker) for worker in workers]
                await asyncio.gather(*(_called(worker.close.remote()) for worker in workers))
            finally:
                for worker in workers:
                    ray.kill(worker)

    async def _begun(self, workers: Sequence[Any]) -> None:
        """Wait until all workers are ready; raise what befell the first that is not."""
        try:
            async with asyncio.timeout(START_S):
                await all_of([_called(worker.ready.remote()) for worker in workers])
        except TimeoutError as error:
            if isinstance(error, ConsiliumError):  # a locked ledger is one too
                raise
            raise JobError(
                f"{self._workers} workers were not ready within {START_S:.0f} s. See `ray status` for "
                "who has room, and ask for fewer or add nodes."
            ) from error


class _Worker:
    """A process on some node with a council of its own."""

    def __init__(self, open_council: Callable[[], Council], run: Run, footing: Footing, folder: Path) -> None:
        if folder.is_dir():
            os.chdir(folder)  # relative paths in the settings mean the same as where the job was started
        self._open_council = open_council
        self._run = run
        self._footing = footing
        self._opening = asyncio.Lock()
        self._council: Council | None = None

    async def ready(self) -> None:
        await self._opened()

    async def answer(self, request: RowRequest) -> Result:
        run = self._run
        # Whether the row was begun by a worker that died nobody knows here.
        turns = RowTurns(await self._opened(), job_id=run.job_id, attempts=run.attempts, is_new=False)
        return await turns.answer(request)

    async def close(self) -> None:
        if self._council is not None:
            await self._council.close()

    async def _opened(self) -> Council:
        async with self._opening:
            if self._council is None:
                council = answering(self._open_council(), Pace())
                self._footing.check(council)
                self._council = await council.__aenter__()
        return self._council


def _answer(worker: Any) -> Answer:  # noqa: ANN401 -- Ray's handle, whose methods no type checker knows
    async def answer(request: RowRequest) -> Result:
        result: Result = await _called(worker.answer.remote(request))
        return result

    return answer


async def _called(call: Awaitable[Found]) -> Found:
    """Wait for a call's result. Raises what the worker raised, and `EngineLost` where it died time and again."""
    from ray.exceptions import RayActorError, RayTaskError

    try:
        return await call
    except RayTaskError as error:
        raise error.cause from error
    except RayActorError as error:
        raise EngineLost(
            f"a worker was made anew {RESTARTS} times and died again ({error!s:.300}). See Ray's logs, and run "
            "the same command again."
        ) from error


@contextmanager
def _cluster(address: str | None, workers: int) -> Iterator[None]:
    """Be connected to a cluster. Raises `JobError` where there is none at the address."""
    import ray

    if ray.is_initialized():
        yield
        return
    connect = partial(ray.init, log_to_driver=False, logging_level=logging.ERROR)
    try:
        if address:
            _knock(address)
            connect(address)
        else:
            connect("local", num_cpus=workers, object_store_memory=STORE_BYTES, include_dashboard=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise JobError(
            f"no Ray cluster at {address or 'local'!r}: {error!s:.300}. Start one, or correct it."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise `OSError` where nobody listens: Ray itself would try for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():  # else it is "auto", and Ray finds out
        socket.create_connection((host, int(port)), timeout=10).close()
