"""What threads must not do at the same time: import transformers, and keep teams of torch's."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")

loading = threading.Lock()
"""Held while something of transformers is imported or loaded. It imports its parts at their first use, each of which
imports others; of two threads that do so at once, one may be handed a part that the other has only begun."""


def in_passing(task: Callable[[], Result]) -> Result:
    """Run ``task``, which uses torch's threads, in a thread that ends with it, and return its result.

    Each thread that ever runs a large operation of torch keeps a team of OpenMP threads for as long as it lives. Once
    the teams together have more threads than the machine has cores, libgomp no longer lets a team wait awake for its
    next operation, and every step of the embedded engine waits for sleepers. So the engine's thread shall be the only
    one that lives on with a team.
    """
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(task())
        except BaseException as error:
            done.set_exception(error)

    thread = threading.Thread(target=run, name="consilium-in-passing")
    thread.start()
    thread.join()
    return done.result()
