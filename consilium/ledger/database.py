"""A database driven synchronously from one thread of its own, where writes that wait together commit together.

One hop a call, where an asynchronous driver makes one for every statement. A turn makes half a dozen durable commits,
and they are what it costs.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine

from consilium.errors import BadInput, ConsiliumError, LedgerError, TurnBusy
from consilium.ledger.connection import connect, translated

Result = TypeVar("Result")
Work: TypeAlias = Callable[[Connection], Result]


class Database:
    """Opened by `open`, ended by `close`; `write` and `read` run a function of a connection in a transaction.

    Args:
        url: of the database.
        busy_timeout_s: seconds to wait for another process's write.
        together: does several works in one transaction, and returns what each returns. Where it raises `BadInput` or
            `TurnBusy`, the transaction is undone and each work is done by itself.

    Raises:
        BadSettings: the URL is none, or names a database that the ledger cannot use.
        MissingExtra: PostgreSQL's driver is not installed.
    """

    def __init__(
        self, url: str, *, busy_timeout_s: float, together: Callable[[Connection, Sequence[Work[Any]]], list[Any]]
    ) -> None:
        self._together = together
        self.engine: Engine = connect(url, busy_timeout_s=busy_timeout_s)
        self.url = self.engine.url.render_as_string(hide_password=True)
        # Whether an insert met its key already is told by its row count, which SQLAlchemy keeps only where asked.
        self._writer = self.engine.execution_options(writes=True, preserve_rowcount=True)
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: list[tuple[Work[Any], asyncio.Future[Any]]] = []
        self._committing: asyncio.Task[None] | None = None

    async def open(self, prepare: Callable[[Engine], None]) -> None:
        """Start the thread and do ``prepare`` in it; where that fails, nothing is left open."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="consilium-ledger")
        try:
            await self._run(partial(prepare, self.engine))
        except BaseException:
            await self.close(lambda: None)
            raise

    async def close(self, finish: Callable[[], None]) -> None:
        """Write what waits to be written, do ``finish``, and end the thread."""
        try:
            if self._committing is not None:
                await self._committing
            await self._run(finish)
            await self._run(self.engine.dispose)
        finally:
            thread, self._thread = self._thread, None
            if thread is not None:
                thread.shutdown()

    async def write(self, work: Work[Result]) -> Result:
        """Do ``work`` in the next transaction, together with whatever else waits to be written."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, done))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_waiting())
        return await done

    async def read(self, work: Work[Result]) -> Result:
        """Do ``work`` in a transaction of its own, which does not write."""

        def transact() -> Result:
            with self.engine.begin() as connection:
                return work(connection)

        return await self._run(transact)

    async def _commit_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            works = [work for work, _ in batch]
            try:
                results = await self._run(partial(self._transact, works))
            except Exception as error:  # whatever befell the transaction, each waiting call is told
                results = [error] * len(batch)
            for (_, done), result in zip(batch, results, strict=True):
                if done.cancelled():
                    continue
                if isinstance(result, Exception):
                    done.set_exception(result)
                else:
                    done.set_result(result)

    def _transact(self, works: Sequence[Work[Any]]) -> list[Any]:
        """Commit all ``works`` at once; where one of them is refused, each by itself, so that only that one fails."""
        if len(works) > 1:
            try:
                with translated(self.url), self._writer.begin() as connection:
                    return self._together(connection, works)
            except (BadInput, TurnBusy):
                pass
        return [self._alone(work) for work in works]

    def _alone(self, work: Work[Any]) -> Any:  # noqa: ANN401 -- the result of any work, or its error
        try:
            with translated(self.url), self._writer.begin() as connection:
                return work(connection)
        except ConsiliumError as error:
            return error

    async def _run(self, task: Callable[[], Result]) -> Result:
        if self._thread is None:
            raise LedgerError(f"the ledger at {self.url} is not open. Use it inside `async with ledger:`.")

        def guarded() -> Result:
            with translated(self.url):
                return task()

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)
