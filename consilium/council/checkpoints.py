"""LangGraph's own checkpoint saver, strictly set up, in a file beside the ledger's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver


@asynccontextmanager
async def open_saver(file: Path | None) -> "AsyncIterator[BaseCheckpointSaver[str]]":
    """Open the saver on ``file``; None keeps the checkpoints in memory.

    Only JSON primitives may come out of a checkpoint: the default serializer would import and call whatever a crafted
    row names. The file may be deleted at any time; the ledger is the truth.
    """
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    strict = JsonPlusSerializer(allowed_msgpack_modules=None)
    if file is None:
        yield InMemorySaver(serde=strict)
        return
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    connecting = aiosqlite.connect(file)
    # A script that never closes its council must still end; aiosqlite's thread would be waited for.
    connecting._thread.daemon = True
    async with connecting as connection:
        saver = AsyncSqliteSaver(connection, serde=strict)
        await saver.setup()
        # What is lost with the power here is made anew from the ledger, whose own file syncs at every commit.
        await connection.execute("PRAGMA synchronous=NORMAL")
        yield saver
