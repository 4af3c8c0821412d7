"""The SQL ledger keeps the seam's promises, and says plainly what is wrong with a database."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from consilium.errors import BadSettings, LedgerError, LedgerLocked, LedgerReadOnly, LedgerVersion
from consilium.ledger.sql import SqlLedger
from consilium.testing.ledger import LedgerConformance, admit, decision, verdict, whole_turn


class TestSqlLedger(LedgerConformance):
    @pytest.fixture
    def ledger(self, tmp_path: Path) -> SqlLedger:
        return SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}")


class TestSqlLedgerInMemory(LedgerConformance):
    @pytest.fixture
    def ledger(self) -> SqlLedger:
        return SqlLedger("sqlite://")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


async def open_once(file: Path, **options: float) -> None:
    async with SqlLedger(f"sqlite:///{file}", **options) as ledger:
        await admit(ledger)


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
        pragmas = await ledger._read(
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


async def test_a_read_only_database_is_said_to_be_read_only(file: Path) -> None:
    await open_once(file)
    async with SqlLedger(f"sqlite:///file:{file}?mode=ro&uri=true") as ledger:
        with pytest.raises(LedgerReadOnly, match="cannot be written"):
            await admit(ledger, "t2")


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


@pytest.mark.parametrize("url", ["ledger.db", "mysql://host/db", "sqlite+nonsense:///x", ""])
def test_a_url_that_names_no_database_is_refused(url: str) -> None:
    with pytest.raises(BadSettings, match="database="):
        SqlLedger(url)


async def test_a_closed_ledger_says_so(file: Path) -> None:
    ledger = SqlLedger(f"sqlite:///{file}")
    with pytest.raises(LedgerError, match="not open"):
        await ledger.turns()
    async with ledger:
        await admit(ledger)
    with pytest.raises(LedgerError, match="not open"):
        await admit(ledger, "t2")
