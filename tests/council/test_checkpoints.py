"""LangGraph's savers as we set them up: they conform, and a poisoned checkpoint is inert."""

import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import ormsgpack
import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import validate
from langgraph.checkpoint.conformance.initializer import RegisteredCheckpointer

from consilium import Council, ScriptedEngine
from consilium.council.checkpoints import open_saver
from consilium.council.parts import checkpoints_of
from consilium.errors import LedgerError
from consilium.ledger.sql import SqlLedger
from consilium.members.catalogue import Catalogue
from tests.council.conftest import SAID
from tests.support.council import FirstSeats


async def test_the_configured_savers_conform(database: str) -> None:
    async def fresh() -> AsyncGenerator[BaseCheckpointSaver[str]]:
        async with open_saver(checkpoints_of(database)) as saver:
            yield saver

    report = await validate(RegisteredCheckpointer(name="configured", factory=fresh))
    failed = {name: result.failures for name, result in report.results.items() if result.failures}
    assert report.passed_all_base(), failed


def test_strict_settings_are_on_where_we_import_langgraph(tmp_path: Path) -> None:
    program = """
import asyncio
from pathlib import Path
from consilium.council.checkpoints import open_saver
async def main():
    async with open_saver(Path("checkpoints.db")):
        import langgraph.checkpoint.serde._msgpack as serde
        print(serde.STRICT_MSGPACK_ENABLED)
asyncio.run(main())
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True)
    assert ran.stdout == "True\n"


async def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "ledger.checkpoints.db"
    file.write_bytes(b"no database " * 1_000)
    with pytest.raises(LedgerError, match=r"ledger\.checkpoints\.db cannot be used: .*Remove the file"):
        async with open_saver(file):
            pass


async def test_a_poisoned_checkpoint_is_never_read(harbour: Path, tmp_path: Path) -> None:
    url, canary = f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "canary"

    def council() -> Council:
        router = FirstSeats(Catalogue.load(harbour))
        return Council.open(engine=ScriptedEngine(SAID), router=router, personas=harbour, database=url, recover=False)

    async with council() as first:
        turn = await first.ask("How deep is it?")
    file = tmp_path / "ledger.checkpoints.db"
    call = ormsgpack.packb(("os", "system", f"touch {canary}"))
    poison = ormsgpack.packb(ormsgpack.Ext(0, call))
    with sqlite3.connect(file) as connection:
        poisoned = connection.execute("UPDATE checkpoints SET type = 'msgpack', checkpoint = ?", (poison,)).rowcount
        connection.execute("UPDATE writes SET type = 'msgpack', value = ?", (poison,))
    connection.close()
    assert poisoned > 0
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("DELETE FROM verdicts")
        connection.execute("UPDATE turns SET status = 'interrupted'")
    connection.close()
    async with council() as second:
        again = await second.resume(turn.id)
    assert again.verdict == turn.verdict
    assert not canary.exists()
    async with SqlLedger(url) as ledger:
        assert (await ledger.load(turn.id)).turn.status == "concluded"
