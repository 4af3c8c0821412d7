"""A scripted job in a process of its own, that may be killed.

python -m tests.support.job_child FOLDER [ADDRESS]: with the address of a Ray cluster, or "local", its rows are answered
there by two workers, each of which notes its process in FOLDER/workers.txt.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from consilium import Council, Job, ScriptedEngine
from consilium.engines.protocol import Prompt
from consilium.engines.scripted import Reply
from consilium.jobs.executor import Executor
from consilium.jobs.ray_executor import RayExecutor
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


def open_council(
    personas: Path, ledger: Ledger, *, reply: Reply = "aye", engine: ScriptedEngine | None = None
) -> Council:
    """Return a council whose two seats are scripted."""
    return Council.open(
        engine=engine or ScriptedEngine(dict.fromkeys(["pilot", "mate", "clerk"], reply), token_s=0.0005),
        router=FirstSeats(Catalogue.load(personas)),
        ledger=ledger,
        personas=personas,
    )


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
    council = open_council(
        personas, ledger or SqlLedger(f"sqlite:///{folder / 'ledger.db'}"), reply=reply, engine=engine
    )
    return Job(council, executor=executor, **{"input": folder / "in.jsonl", "output": folder / "out.jsonl", **spec})


def scripted_council(personas: Path, folder: Path) -> Council:
    """Return the council of a worker; who is asked what is noted as in the job's own process."""
    with (folder / "workers.txt").open("a") as file:
        file.write(f"{os.getpid()}\n")
    return open_council(personas, SqlLedger(f"sqlite:///{folder / 'ledger.db'}"), reply=paying(folder / "paid.txt"))


def on_ray(personas: Path, folder: Path, address: str) -> RayExecutor:
    """Return an executor of two scripted workers."""
    opened = partial(scripted_council, personas, folder)
    return RayExecutor(opened, workers=2, address=None if address == "local" else address)


async def main(folder: Path, address: str | None = None) -> None:
    personas = folder / "personas"
    executor = on_ray(personas, folder, address) if address else None
    job = open_job(personas, folder, reply=paying(folder / "paid.txt"), concurrency=16, executor=executor)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, job.drain)
    async for _ in job.run():
        pass


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
