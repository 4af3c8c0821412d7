"""The SQL ledger keeps the seam's promises, and says plainly what is wrong with a database."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from consilium.errors import BadInput, BadSettings, LedgerError, LedgerLocked, LedgerReadOnly, LedgerVersion, TurnBusy
from consilium.ledger.entries import ClosingEntry, TurnLog
from consilium.ledger.sql import SqlLedger
from consilium.testing.ledger import LedgerConformance, admit, decision, verdict, whole_turn


class TestSqlLedger(LedgerConformance):
    @pytest.fixture
    def ledger(self, database: str) -> SqlLedger:
        return SqlLedger(database)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


async def open_once(file: Path, **options: float) -> None:
    async with SqlLedger(f"sqlite:///{file}", **options) as ledger:
        await admit(ledger)


async def test_a_ledger_needs_no_file() -> None:
    async with SqlLedger("sqlite://") as ledger:
        await whole_turn(ledger)
        assert (await ledger.load("t1")).decision == decision("t1")


async def test_everything_is_there_after_reopening(file: Path) -> None:
    async with SqlLedger(f"sqlite:///{file}") as ledger:
        await whole_turn(ledger)
    async with SqlLedger(f"sqlite:///{file}") as ledger:
        log = await ledger.load("t1")
    assert log.decision == decision("t1")
    assert log.verdict == verdict("t1")


async def test_commits_survive_power_loss(file: Path) -> None:
    await open_once(file)
    async with SqlLedger(f"sqlite:///{file}") as ledger:
        pragmas = await ledger.read(
            lambda connection: [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
        )
    assert pragmas == ["wal", 2, 1, 5_000]


async def test_missing_folders_are_made(tmp_path: Path) -> None:
    await open_once(tmp_path / "a" / "b" / "ledger.db")
    assert (tmp_path / "a" / "b" / "ledger.db").exists()


async def test_processes_share_one_file(file: Path) -> None:
    program = """
import asyncio, sys
from consilium.ledger.sql import SqlLedger
from consilium.testing.ledger import admit
async def main():
    async with SqlLedger(sys.argv[1]) as ledger:
        for number in range(40):
            await admit(ledger, f"{sys.argv[2]}-{number}", "shared")
asyncio.run(main())
"""
    url = f"sqlite:///{file}"
    children = [subprocess.Popen([sys.executable, "-c", program, url, name]) for name in ("a", "b")]
    codes = await asyncio.gather(*(asyncio.to_thread(child.wait, 60) for child in children))
    assert codes == [0, 0]
    async with SqlLedger(url) as ledger:
        numbers = [log.turn.number for log in await ledger.turns(session_id="shared", limit=100)]
    assert sorted(numbers) == list(range(1, 81))


async def test_a_locked_database_is_said_to_be_locked(file: Path) -> None:
    await open_once(file)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        async with SqlLedger(f"sqlite:///{file}", busy_timeout_s=0.1) as ledger:
            with pytest.raises(LedgerLocked, match=r"ledger\.db"):
                await admit(ledger, "t2")
            other.execute("ROLLBACK")
            await admit(ledger, "t3")
            assert [log.turn.id for log in await ledger.turns()] == ["t1", "t3"]
    finally:
        other.close()


async def test_every_call_that_met_the_lock_is_told(file: Path) -> None:
    await open_once(file)
    async with SqlLedger(f"sqlite:///{file}", busy_timeout_s=0.05) as ledger:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        found = await asyncio.gather(*(admit(ledger, name) for name in ("t2", "t3")), return_exceptions=True)
        assert [log.turn.id for log in await ledger.turns()] == ["t1"]  # readers are not kept out
        other.close()
    assert [type(error) for error in found] == [LedgerLocked, LedgerLocked]


async def test_a_new_file_that_is_locked_is_said_to_be_locked(file: Path) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerLocked):
        await open_once(file, busy_timeout_s=0.05)
    other.close()
    await open_once(file, busy_timeout_s=0.05)


async def test_a_lock_that_is_let_go_in_time_is_waited_for(file: Path) -> None:
    async with SqlLedger(f"sqlite:///{file}") as ledger:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(admit(ledger))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        other.close()
        await waiting
        assert (await ledger.load("t1")).turn.number == 1


async def test_a_new_file_that_is_being_written_is_waited_for(file: Path) -> None:
    # Its first opening turns a file to WAL; while another writes, SQLite refuses that at once, whatever the time-out.
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(open_once(file))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    other.close()
    await waiting


async def test_a_read_only_database_is_read_but_not_written(file: Path) -> None:
    # Tests may run as root, whom no file mode stops: SQLite's own mode=ro makes the file read-only.
    await open_once(file)
    async with SqlLedger(f"sqlite:///file:{file}?mode=ro&uri=true") as ledger:
        assert (await ledger.load("t1")).turn.number == 1
        with pytest.raises(LedgerReadOnly, match="cannot be written"):
            await admit(ledger, "t2")


async def test_a_folder_in_place_of_the_file_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerReadOnly):
        await open_once(tmp_path)


async def test_an_impossible_folder_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerReadOnly, match="cannot be opened"):
        await open_once(tmp_path / "file" / "ledger.db")


async def test_a_newer_schema_is_refused_and_left_alone(file: Path) -> None:
    await open_once(file)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(LedgerVersion, match=r"'9999'.*Upgrade consilium"):
        await open_once(file)


async def test_somebody_elses_database_is_refused_and_left_alone(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE songs (title)")
    connection.close()
    before = file.read_bytes()
    with pytest.raises(LedgerVersion, match="'songs'"):
        await open_once(file)
    with sqlite3.connect(file) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    connection.close()
    assert tables == [("songs",)]
    assert len(file.read_bytes()) == len(before)


async def test_a_file_that_is_no_database_is_refused_and_left_alone(file: Path) -> None:
    file.write_bytes(b"poems, " * 400)
    before = file.read_bytes()
    with pytest.raises(LedgerError, match="no database"):
        await open_once(file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


async def test_a_damaged_file_is_said_to_be_damaged(file: Path) -> None:
    await open_once(file)
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))  # the first page is sound, the rest is not
    with pytest.raises(LedgerError, match="damaged"):
        await open_once(file)


@pytest.mark.parametrize(("message", "options"), [("\udcff", {}), ("fine", {"seats": {1, 2}})])
async def test_what_cannot_be_stored_is_refused_alone(file: Path, message: str, options: dict[str, object]) -> None:
    async with SqlLedger(f"sqlite:///{file}") as ledger:
        bad = ledger.admit(session_id="s1", turn_id="bad", message=message, options=options)
        found = await asyncio.gather(bad, admit(ledger), return_exceptions=True)
        assert type(found[0]) is BadInput
        assert [log.turn.id for log in await ledger.turns()] == ["t1"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ledger.db",
        "mysql://user:s3cr3t@host/db",
        "sqlite+nonsense:///x",
        "sqlite+aiosqlite:///x",
        "postgresql+psycopg://user:s3cr3t@host:port/db",
        "postgresql+psycopg//user:s3c@r3t@host",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadSettings, match="database=") as refused:
        SqlLedger(url)
    assert "s3c" not in str(refused.value)
    assert "r3t" not in str(refused.value)


async def test_a_closed_ledger_says_so(file: Path) -> None:
    ledger = SqlLedger(f"sqlite:///{file}")
    with pytest.raises(LedgerError, match="not open"):
        await ledger.turns()
    async with ledger:
        await admit(ledger)
    with pytest.raises(LedgerError, match="not open"):
        await admit(ledger, "t2")


async def test_nothing_is_left_running_or_open(file: Path) -> None:
    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("consilium-ledger")]

    async with SqlLedger(f"sqlite:///{file}") as ledger:
        await admit(ledger)
        assert len(threads()) == 1
        assert _open_files(file)
    assert threads() == []
    assert _open_files(file) == []


def _open_files(beside: Path) -> list[str]:
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:  # the listing's own descriptor
            continue
        if target.startswith(str(beside.parent)):
            found.append(target)
    return found


async def test_what_waits_is_written_before_the_ledger_closes(file: Path) -> None:
    async with SqlLedger(f"sqlite:///{file}") as ledger:
        waiting = [asyncio.create_task(admit(ledger, f"t{number}")) for number in range(5)]
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)
    async with SqlLedger(f"sqlite:///{file}") as ledger:
        assert len(await ledger.turns()) == 5


async def test_a_call_that_is_given_up_harms_no_other(file: Path) -> None:
    async with SqlLedger(f"sqlite:///{file}") as ledger:
        given_up, kept = (asyncio.create_task(admit(ledger, name)) for name in ("given-up", "kept"))
        await asyncio.sleep(0)
        given_up.cancel()
        await kept
        await admit(ledger, "later")
        assert [log.turn.id for log in await ledger.turns(limit=2)] == ["kept", "later"]


async def test_a_turn_that_is_played_elsewhere_is_refused_alone(database: str) -> None:
    async with SqlLedger(database) as here, SqlLedger(database) as there:
        await admit(there, "theirs", "s1")
        await admit(there, "ours", "s2")
        await there.record(ClosingEntry(turn_id="ours", status="interrupted"))
        found = await asyncio.gather(here.claim("ours"), here.claim("theirs"), return_exceptions=True)
    assert isinstance(found[0], TurnLog)
    assert isinstance(found[1], TurnBusy)
