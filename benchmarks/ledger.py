"""What the ledger can take: seats a second, a usage report over many seats, and the scan for turns that were cut off.

usage: python benchmarks/ledger.py [--seconds 10] [--seats 1000000] [--folder .]

SQLite on the disk of ``--folder``, WAL, synchronous=FULL. ``seats_per_s``: eight turns at a time, each commit awaited,
three seats a turn with their statements; writes that wait together commit together. ``fsyncs_per_s``: bare appends of
4 KiB with fsync on the same disk, before and after in the same run; no commit is faster. A turn takes four commits one
after the other, so that eight turns get six seats out of each: ``of_limit`` is ``seats_per_s`` over six times
``fsyncs_per_s``. ``seats_per_s_in_memory`` is the same work where syncing costs nothing (``/dev/shm``): what is ours of
the time. ``report_s``: the usage report over a ledger of that many seats. ``recovery_ms``: finding the turns that did
not end among them. The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import sqlite3
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from consilium.learning.reports import usage
from consilium.ledger.entries import ClosingEntry
from consilium.ledger.sql import SqlLedger
from consilium.testing.ledger import MEMBER, decision, statement, verdict, whole_turn

SEATS = 3
TOGETHER = 8
COMMITS = 4
"""Of a turn, each awaited before the next: admission, decision, statements, verdict."""
MEMORY = "/dev/shm"  # noqa: S108 -- where Linux has it
OPEN = 20


async def one_turn(ledger: SqlLedger, name: str) -> None:
    """Play the writes of a turn, each awaited, as the council makes them."""
    await ledger.admit(session_id=name, turn_id=name, message="words " * 20, options={"seats": SEATS})
    await ledger.record(decision(name, SEATS))
    async with asyncio.TaskGroup() as group:
        for seat in range(SEATS):
            group.create_task(ledger.record(replace(statement(name, seat), text="words " * 40)))
    await ledger.record(verdict(name), ClosingEntry(turn_id=name, status="concluded"))


async def seats_per_s(file: Path, seconds: float) -> float:
    """Return the seats recorded a second by eight concurrent turns."""
    async with SqlLedger(f"sqlite:///{file}") as ledger:
        await ledger.record(MEMBER)
        ended, played = time.perf_counter() + seconds, 0

        async def player(number: int) -> None:
            nonlocal played
            while time.perf_counter() < ended:
                await one_turn(ledger, f"{number}-{played}")
                played += 1

        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(TOGETHER):
                group.create_task(player(number))
        return played * SEATS / (time.perf_counter() - started)


def fsyncs_per_s(file: Path, count: int = 200) -> float:
    """Return how many appends of a page the disk makes durable in a second."""
    with file.open("wb") as opened:
        started = time.perf_counter()
        for _ in range(count):
            opened.write(b"x" * 4_096)
            opened.flush()
            os.fsync(opened.fileno())
        return count / (time.perf_counter() - started)


def in_memory() -> str | None:
    """Return a folder that needs no syncing; None, for any folder, where there is none."""
    return MEMORY if os.path.isdir(MEMORY) else None


def fill(file: Path, seats: int) -> None:
    """Multiply the one turn that the ledger holds, in SQL: what is measured is reading."""
    connection = sqlite3.connect(file)
    count = {"i": seats // SEATS}
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :i) "
    for table in ("turns", "decisions", "seats", "statements", "verdicts"):
        turn = "id" if table == "turns" else "turn_id"
        changed = {turn: "hex(i * 7919 % 1000003) || '-' || i"}
        if table == "turns":
            changed |= {"number": "number + i", "status": f"CASE WHEN i <= {OPEN} THEN 'open' ELSE status END"}
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        chosen = ", ".join(changed.get(name, f'"{name}"') for name in columns)
        query = f"SELECT {chosen} FROM n, (SELECT * FROM {table})"  # noqa: S608 -- names of our own tables
        connection.execute(f"INSERT INTO {table} {numbers} {query}", count)
    connection.commit()
    connection.execute("ANALYZE")
    connection.commit()
    connection.close()


async def read(file: Path, seats: int) -> tuple[float, float]:
    """Return the seconds of a report and of a recovery scan, medians of five."""
    async with SqlLedger(f"sqlite:///{file}") as ledger:
        await ledger.record(MEMBER)
        await whole_turn(ledger, "first", "s")
        await ledger.record(statement("first", 0))
    fill(file, seats)
    reports, scans = [], []
    async with SqlLedger(f"sqlite:///{file}") as ledger:
        for _ in range(5):
            started = time.perf_counter()
            await ledger.read(usage)
            reports.append(time.perf_counter() - started)
            started = time.perf_counter()
            found = await ledger.turns(unfinished=True, limit=100)
            scans.append(time.perf_counter() - started)
            assert len(found) == OPEN
    return statistics.median(reports), statistics.median(scans)


async def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seats", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path())
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder = Path(name)
        fsyncs = [fsyncs_per_s(folder / "before")]
        rate = await seats_per_s(folder / "write.db", asked.seconds)
        fsyncs.append(fsyncs_per_s(folder / "after"))
        report, scan = await read(folder / "read.db", asked.seats)
    with tempfile.TemporaryDirectory(dir=in_memory()) as name:
        unsynced = await seats_per_s(Path(name) / "write.db", asked.seconds)
    synced = statistics.fmean(fsyncs)
    figures = {
        "seats_per_s": round(rate),
        "fsyncs_per_s": round(synced),
        "of_limit": round(rate / (synced * SEATS * TOGETHER / COMMITS), 2),
        "seats_per_s_in_memory": round(unsynced),
        "report_s": round(report, 2),
        "recovery_ms": round(scan * 1_000, 1),
        "seats": asked.seats,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(main())
