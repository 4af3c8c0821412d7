"""The points at which a process can die: each resumption of a coroutine, and each commit, before and after it."""

import asyncio
import os
import signal
import threading
from typing import Any

from sqlalchemy import PoolProxiedConnection
from sqlalchemy.engine.default import DefaultDialect


class Faults:
    """Lists the points that are reached, and kills the process with SIGKILL at the one of that number."""

    def __init__(self, die_at: int | None = None) -> None:
        self.points: list[str] = []
        self._die_at = die_at
        self._lock = threading.Lock()

    def install(self) -> None:
        """Watch this process from now on; it is a child that does nothing else."""
        run, commit = asyncio.Handle._run, DefaultDialect.do_commit

        def run_watched(handle: asyncio.Handle) -> None:
            self.reach(f"await in {_where(handle)}")
            run(handle)

        def commit_watched(dialect: DefaultDialect, connection: PoolProxiedConnection) -> None:
            self.reach("before a commit of the ledger")
            commit(dialect, connection)
            self.reach("after a commit of the ledger")

        asyncio.Handle._run = run_watched  # type: ignore[method-assign]
        DefaultDialect.do_commit = commit_watched  # type: ignore[method-assign]

    def reach(self, name: str) -> None:
        with self._lock:
            self.points.append(name)
            if len(self.points) - 1 == self._die_at:
                os.kill(os.getpid(), signal.SIGKILL)


def _where(handle: asyncio.Handle) -> str:
    """Return the innermost coroutine that a handle resumes, or what it calls."""
    callback: Any = handle._callback  # type: ignore[attr-defined]
    task = getattr(callback, "__self__", None)
    if not isinstance(task, asyncio.Task):
        return getattr(callback, "__qualname__", type(callback).__name__)
    coroutine: Any = task.get_coro()
    while (inner := getattr(coroutine, "cr_await", None)) is not None and hasattr(inner, "cr_await"):
        coroutine = inner
    return getattr(coroutine, "__qualname__", type(coroutine).__name__)
