"""A scripted job in a process of its own, that may be killed: python -m tests.support.job_child FOLDER."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from consilium import Council, Job, ScriptedEngine
from consilium.engines.protocol import Prompt
from consilium.engines.scripted import Reply
from consilium.jobs.executor import Executor
from consilium.ledger.protocol import Ledger
from consilium.ledger.sql import SqlLedger
from consilium.members.catalogue import Catalogue
from tests.support.council import FirstSeats


def paying(file: Path) -> Callable[[Prompt], str]:
    """Return a reply that notes in ``file``, for good, who was asked what."""
    handle = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def reply(prompt: Prompt) -> str:
        os.write(handle, f"{prompt.member} {prompt.messages[-1].content}\n".encode())
        return f"{prompt.member} has heard {prompt.messages[-1].content}"

    return reply


def open_job(
    personas: Path,
    folder: Path,
    *,
    reply: Reply = "aye",
    engine: ScriptedEngine | None = None,
    ledger: Ledger | None = None,
    executor: Executor | None = None,
    **spec: object,
) -> Job:
    """Return a job on ``folder/in.jsonl`` whose two seats are scripted."""
    council = Council.open(
        engine=engine or ScriptedEngine(dict.fromkeys(["pilot", "mate", "clerk"], reply), token_s=0.0005),
        router=FirstSeats(Catalogue.load(personas)),
        ledger=ledger or SqlLedger(f"sqlite:///{folder / 'ledger.db'}"),
        personas=personas,
    )
    return Job(council, executor=executor, **{"input": folder / "in.jsonl", "output": folder / "out.jsonl", **spec})


async def main(folder: Path) -> None:
    job = open_job(folder / "personas", folder, reply=paying(folder / "paid.txt"), concurrency=16)
    async for _ in job.run():
        pass


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
