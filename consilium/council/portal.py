"""The sync facade's event loop, in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

DRAIN_S = 5.0
"""Seconds that ^C waits for a turn to be marked interrupted."""


class Portal:
    """Runs coroutines for callers that have no event loop.

    The thread is a daemon: a script that never closes its council still ends.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="consilium-sync", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run ``work`` and return its result; ^C cancels it, and waits until it is left off in good order."""
        left = threading.Event()

        async def watched() -> Result:
            try:
                return await work
            finally:
                left.set()

        future = asyncio.run_coroutine_threadsafe(watched(), self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            left.wait(DRAIN_S)
            raise

    def close(self) -> None:
        """Stop the loop and wait for its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
