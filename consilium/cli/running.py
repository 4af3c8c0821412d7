"""Running a command's coroutine so that signals drain it: what it was doing is left off in good order."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run ``work`` to its end. SIGINT and SIGTERM cancel it, and turns in hand are marked interrupted.

    Raises:
        KeyboardInterrupt: after SIGINT.
        SystemExit: 143, after SIGTERM.
    """
    terminated = False

    async def main() -> Result:
        task = asyncio.current_task()

        def terminate() -> None:
            nonlocal terminated
            terminated = True
            if task is not None:
                task.cancel()

        with suppress(NotImplementedError):  # Windows has no such signal
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
        return await work

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        if terminated:
            sys.exit(128 + signal.SIGTERM)
        raise
