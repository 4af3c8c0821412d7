"""What a job costs beyond its tokens: rows a second, memory, and what a second replica of the engine brings.

usage: python benchmarks/batch.py [--rows 100000] [--few 1000] [--rounds 5] [--round-rows 2000]

The scripted engine answers at once, so that all that is left is the job: reading, routing, two seats, verdict, every
durable write of the ledger (SQLite on the disk of the current folder, synchronous=FULL) and of the results (fsync).
Beside it, at the same concurrency: a bare LangGraph of the same shape, with no saver and no writes. The two take turns,
so that other work on the machine weighs on both; `vs_bare_graph` is the median of the rounds, beside the least, the
most, and the same of processor time, which other work touches less. A job's seconds beside the bare graph's count from
when its council is open, as the graph is compiled by then; its processor time and `rows_per_s` count the start too.
Peak memory is that of a process of its own for each number of rows. The replicas take on eight statements at one time,
one second each, and turn away the ninth; their time is counted from when the council is open. The last line is JSON.
"""

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from turn_overhead import EvenRouter, _bare_graph

from consilium import Council, Job, ScriptedEngine
from consilium.engines.protocol import Delta, Prompt, Spoken
from consilium.errors import EngineBusy
from consilium.members.catalogue import Catalogue
from consilium.settings import data_folder

SEATS = 2
CONCURRENCY = 64
REPLICA_ROWS = 160
TAKES_ON = 8
LATENCY_S = 1.0


class Forgetful(ScriptedEngine):
    """A scripted engine that does not keep what it was asked: its memory would be the engine's, not the job's."""

    async def generate(self, prompt: Prompt) -> AsyncIterator[Delta | Spoken]:
        """Answer and forget."""
        async for piece in super().generate(prompt):
            yield piece
        self.calls.clear()


class Replicas(Forgetful):
    """Servers that each take on so many statements at one time."""

    def __init__(self, replies: dict[str, str], count: int) -> None:
        super().__init__(replies, token_s=LATENCY_S)
        self._in_hand = [0] * count

    async def generate(self, prompt: Prompt) -> AsyncIterator[Delta | Spoken]:
        """Answer from the replica that has the least in hand."""
        replica = self._in_hand.index(min(self._in_hand))
        if self._in_hand[replica] >= TAKES_ON:
            raise EngineBusy(f"{TAKES_ON} are in hand")
        self._in_hand[replica] += 1
        try:
            async for piece in super().generate(prompt):
                yield piece
        finally:
            self._in_hand[replica] -= 1


def open_job(folder: Path, rows: int, replicas: int) -> Job:
    """Return a job of so many rows; no replicas answer at once."""
    with (folder / "in.jsonl").open("w") as file:
        file.writelines(json.dumps({"custom_id": f"row-{n}", "message": f"row number {n}"}) + "\n" for n in range(rows))
    replies = dict.fromkeys(Catalogue.load(data_folder("personas")).members, "aye")
    council = Council.open(
        engine=Replicas(replies, replicas) if replicas else Forgetful(replies),
        router=EvenRouter(),
        database=f"sqlite:///{folder / 'ledger.db'}",
        seats=SEATS,
    )
    return Job(council, input=folder / "in.jsonl", output=folder / "out.jsonl", concurrency=CONCURRENCY)


async def run_job(folder: Path, rows: int, replicas: int) -> dict[str, float]:
    """Run a job; return its seconds, those without its start and of the processor, and its peak memory in MB."""
    job = open_job(folder, rows, replicas)
    started, worked = time.perf_counter(), time.process_time()
    count = 0
    async for result in job.run():
        assert result.error is None, result
        count += 1
    assert count == rows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    assert job.index is not None
    return {
        "seconds": time.perf_counter() - started,
        "cpu_s": time.process_time() - worked,
        "answering_s": job.index.seconds,
        "peak_mb": peak,
    }


def in_child(rows: int, replicas: int = 0) -> dict[str, float]:
    """Do so in a process of its own."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        command = [sys.executable, __file__, "--child", folder, str(rows), str(replicas)]
        found = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 -- our own
        figures: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
        return figures


async def run_bare(rows: int) -> tuple[float, float]:
    """Run the bare graph; return its seconds, and those of the processor."""
    left = iter(range(rows))
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir="."))
        graph = await stack.enter_async_context(_bare_graph(Path(folder) / "unused.db", False, SEATS))

        async def work() -> None:
            for _ in left:
                await graph.ainvoke({})

        started, worked = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(work())
        return time.perf_counter() - started, time.process_time() - worked


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A job between two halves of as many rows of the bare graph; seconds, and those of the processor."""

    job_s: float
    job_cpu_s: float
    bare_s: float
    bare_cpu_s: float


def one_round(rows: int) -> Round:
    """Let the job and the bare graph take turns."""
    before = asyncio.run(run_bare(rows // 2))
    job = in_child(rows)
    after = asyncio.run(run_bare(rows - rows // 2))
    return Round(
        job_s=job["answering_s"], job_cpu_s=job["cpu_s"], bare_s=before[0] + after[0], bare_cpu_s=before[1] + after[1]
    )


def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--round-rows", type=int, default=2_000)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        folder, rows, replicas = arguments.child
        print(json.dumps(asyncio.run(run_job(Path(folder), int(rows), int(replicas)))))
        return
    rounds = [one_round(arguments.round_rows) for _ in range(arguments.rounds)]
    ratios = [each.bare_s / each.job_s for each in rounds]
    few, many = in_child(arguments.few), in_child(arguments.rows)
    one, two = in_child(REPLICA_ROWS, 1), in_child(REPLICA_ROWS, 2)
    figures = {
        "rows_per_s": round(arguments.rows / many["seconds"], 1),
        "round_rows_per_s": round(arguments.round_rows / statistics.median(each.job_s for each in rounds), 1),
        "bare_graph_rows_per_s": round(arguments.round_rows / statistics.median(each.bare_s for each in rounds), 1),
        "vs_bare_graph": round(statistics.median(ratios), 3),
        "vs_bare_graph_least": round(min(ratios), 3),
        "vs_bare_graph_most": round(max(ratios), 3),
        "vs_bare_graph_cpu": round(statistics.median(each.bare_cpu_s / each.job_cpu_s for each in rounds), 3),
        "peak_mb_few": round(few["peak_mb"], 1),
        "peak_mb_many": round(many["peak_mb"], 1),
        "memory_ratio": round(many["peak_mb"] / few["peak_mb"], 3),
        "two_replicas_speedup": round(one["answering_s"] / two["answering_s"], 2),
    }
    for name, figure in figures.items():
        print(f"{name:<24} {figure:>10,}")
    print(json.dumps({**figures, "rows": arguments.rows}))


if __name__ == "__main__":
    main()
