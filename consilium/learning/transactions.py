"""Transactions beside the ledger's own, on the same database, by whoever is not a turn."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from consilium.ledger.connection import connect, translated
from consilium.ledger.migrate import BUSY_TIMEOUT_S, bring_up_to_date

Result = TypeVar("Result")


def transact(url: str, work: Callable[[Connection], Result], *, writes: bool = False) -> Result:
    """Do ``work`` in one transaction on a connection of its own, and close it; the schema is brought up to date.

    Raises:
        LedgerError: the database could not be opened, read or written.
        BadSettings: the URL is none, or names a database that the ledger cannot use.
    """
    engine = connect(url, busy_timeout_s=BUSY_TIMEOUT_S)
    try:
        with translated(engine.url.render_as_string(hide_password=True)):
            bring_up_to_date(engine)
            # Whether an insert met its key already is told by its row count, which is kept only where asked.
            with engine.execution_options(writes=writes, preserve_rowcount=True).begin() as connection:
                return work(connection)
    finally:
        engine.dispose()


async def transact_aside(url: str, work: Callable[[Connection], Result], *, writes: bool = False) -> Result:
    """Do the same in a thread."""
    return await asyncio.to_thread(partial(transact, url, work, writes=writes))
