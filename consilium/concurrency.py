"""Work that is done at the same time on one event loop."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

Result = TypeVar("Result")


async def all_of(work: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Return the results in order; of errors the first, once the others' work is cancelled."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]
