"""Whatever happens to its file, a ledger says so in plain words, and writes nothing wrong."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from consilium.errors import LedgerDamaged, LedgerError, LedgerFull
from consilium.ledger.sql import SqlLedger
from consilium.testing.ledger import MEMBER, admit, whole_turn

PROGRAM = """
import asyncio, json, sys, time
from consilium.ledger.sql import SqlLedger
from consilium.testing.ledger import whole_turn
async def main():
    times = []
    async with SqlLedger(sys.argv[1], busy_timeout_s=60) as ledger:
        for number in range(int(sys.argv[3])):
            started = time.perf_counter()
            await whole_turn(ledger, f"{sys.argv[2]}-{number}", sys.argv[2])
            times.append((time.perf_counter() - started) / 6)  # commits of a turn
    print(json.dumps(times))
asyncio.run(main())
"""


def together(url: str, processes: int, turns: int) -> list[float]:
    """Have so many processes write so many turns each; return the seconds of each commit."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM, url]
    children = [
        subprocess.Popen([*command, f"p{number}", str(turns)], stdout=subprocess.PIPE, text=True)
        for number in range(processes)
    ]
    said = [child.communicate(timeout=900)[0] for child in children]
    assert [child.returncode for child in children] == [0] * processes
    return sorted(time for line in said for time in json.loads(line))


async def count(url: str) -> int:
    async with SqlLedger(url) as ledger:
        return len(await ledger.turns(limit=10_000))


def sound(file: Path) -> bool:
    connection = sqlite3.connect(file)
    try:
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("processes", "turns"), [(3, 10), pytest.param(8, 200, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_processes_write_one_file_without_a_lock_getting_out(tmp_path: Path, processes: int, turns: int) -> None:
    file = tmp_path / "ledger.db"
    times = together(f"sqlite:///{file}", processes, turns)
    print(f"p99 of a commit: {times[int(len(times) * 0.99)] * 1_000:.1f} ms")
    assert asyncio.run(count(f"sqlite:///{file}")) == processes * turns
    assert sound(file)


async def test_a_full_disk_is_said_to_be_full_and_nothing_is_half_written(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    async with SqlLedger(f"sqlite:///{file}") as ledger:
        await whole_turn(ledger)

        def no_more(connection: object) -> None:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()  # type: ignore[attr-defined]
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")  # type: ignore[attr-defined]

        await ledger.read(no_more)  # type: ignore[arg-type]
        with pytest.raises(LedgerFull, match="Make room"):
            await ledger.admit(session_id="s", turn_id="big", message="x" * 1_000_000, options={})
        assert [log.turn.id for log in await ledger.turns()] == ["t1"]
    assert sound(file)


async def test_flipped_bytes_are_found(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    async with SqlLedger(f"sqlite:///{file}") as ledger:
        await ledger.record(MEMBER)
        for number in range(50):
            await whole_turn(ledger, f"t{number}")
    whole = bytearray(file.read_bytes())
    for page in range(4096, len(whole), 4096):  # the type of each page of a tree
        whole[page] ^= 0xFF
    file.write_bytes(whole)
    with pytest.raises(LedgerDamaged, match="Restore it"):
        async with SqlLedger(f"sqlite:///{file}") as ledger:
            await ledger.turns(limit=100)


@pytest.mark.parametrize("kept", [0, 33, 1_000, 5_000])
async def test_a_cut_write_ahead_log_loses_its_end_and_nothing_else(tmp_path: Path, kept: int) -> None:
    file, copy = tmp_path / "ledger.db", tmp_path / "copy.db"
    async with SqlLedger(f"sqlite:///{file}") as ledger:
        await whole_turn(ledger)
        await ledger.read(lambda connection: None)
        log = file.with_name("ledger.db-wal").read_bytes()
        copy.write_bytes(file.read_bytes())
        copy.with_name("copy.db-wal").write_bytes(log[:kept])
    try:
        async with SqlLedger(f"sqlite:///{copy}") as ledger:
            await whole_turn(ledger, "t9")
            found = await ledger.turns()
        assert {entry.turn.id for entry in found} <= {"t1", "t9"}
    except LedgerError:
        pass  # refused is as good
    assert sound(copy)


async def test_a_file_that_turns_read_only_is_said_to_be_so(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    async with SqlLedger(f"sqlite:///{file}") as ledger:
        await whole_turn(ledger)
        await ledger._database._run(lambda: ledger._database.engine.dispose())
        file.chmod(0o444)
        try:
            await admit(ledger, "t2")  # root may write all the same
        except LedgerError as error:
            assert "cannot be written" in str(error)  # noqa: PT017 -- only where it is raised at all
        file.chmod(0o644)
    assert sound(file)
