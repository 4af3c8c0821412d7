"""What is kept, read and taken elsewhere."""

import asyncio
import json
import re
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import update

from consilium import Council, MemoryLedger, ScriptedEngine
from consilium.council.checkpoints import open_saver
from consilium.council.options import TurnOptions
from consilium.council.parts import checkpoints_of
from consilium.council.retention import purge, purge_before
from consilium.engines.protocol import Message
from consilium.errors import BadInput, BadSettings, TurnBusy, UnknownTurn
from consilium.ledger.asking import ask_sql
from consilium.ledger.entries import ClosingEntry, now
from consilium.ledger.export import export
from consilium.ledger.orm import TurnRow
from consilium.ledger.sql import SqlLedger
from consilium.members.catalogue import Catalogue
from consilium.testing.ledger import MEMBER, admit, decision, outcome, statement, whole_turn
from tests.support.council import FirstSeats

CANARY = "sk-canary-7777"


def without_keys(text: str) -> str:
    return re.sub(r"sk-[\w-]+", "[key]", text)


async def test_a_session_is_purged_whole_and_alone(database: str) -> None:
    async with SqlLedger(database) as ledger, open_saver(checkpoints_of(database)) as saver:
        for turn_id, session_id in (("t1", "s1"), ("t2", "s1"), ("t3", "s2")):
            await whole_turn(ledger, turn_id, session_id)
            await ledger.record(outcome(turn_id, turn_id))
        kept = await ledger.load("t3")
        assert [gone async for gone in purge(ledger, saver, "s1")] == ["s1"]
        assert list(await ledger.turns()) == [kept]
        with pytest.raises(UnknownTurn, match="'s1'"):
            await ledger.purge("s1")
        tables = ("turns", "sessions", "seats", "statements", "decisions", "verdicts", "outcomes")
        counts = [
            await ledger.read(lambda c, name=table: ask_sql(c, f"select count(*) from {name}", 1).rows[0][0])  # noqa: S608
            for table in tables
        ]
    assert counts == [1, 1, 2, 2, 1, 1, 1]


async def test_a_running_session_is_not_purged(database: str) -> None:
    async with (
        SqlLedger(database) as here,
        SqlLedger(database) as there,
        open_saver(checkpoints_of(database)) as saver,
    ):
        await admit(there)
        for ledger in (here, there):
            with pytest.raises(TurnBusy, match="'t1'"):
                await ledger.purge("s1")
        assert [gone async for gone in purge_before(here, saver, now())] == []
        await there.record(ClosingEntry(turn_id="t1", status="interrupted"))
        assert [gone async for gone in purge_before(here, saver, now())] == ["s1"]


async def test_what_is_older_goes(database: str) -> None:
    async with SqlLedger(database) as ledger, open_saver(checkpoints_of(database)) as saver:
        await whole_turn(ledger, "t1", "old")
        await whole_turn(ledger, "t2", "goes on")
        between = now()
        await whole_turn(ledger, "t3", "goes on")
        assert [gone async for gone in purge_before(ledger, saver, between)] == ["old"]
        assert [log.turn.id for log in await ledger.turns()] == ["t2", "t3"]


async def test_a_session_that_is_gone_on_with_while_others_are_removed_stays(database: str) -> None:
    async with SqlLedger(database) as ledger, open_saver(checkpoints_of(database)) as saver:
        await whole_turn(ledger, "t1", "first")
        await whole_turn(ledger, "t2", "second")
        between = now()
        going = purge_before(ledger, saver, between)
        (left,) = {"first", "second"} - {await anext(going)}
        await whole_turn(ledger, "t3", left)
        assert [gone async for gone in going] == []
        assert len(await ledger.turns(session_id=left)) == 2
        assert await ledger.idle_turns(left, before=between) is None
        assert not await ledger.purge(left, before=between)
        assert await ledger.purge(left)
        assert list(await ledger.turns()) == []


@pytest.mark.parametrize("asked", ["old", "named"])
async def test_a_purge_waits_for_a_turn_that_is_just_admitted(database: str, asked: str) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def slowly(text: str) -> str:  # is called within the transaction that admits
        reached.set()
        go_on.wait(10)
        return text

    async with SqlLedger(database) as here, SqlLedger(database, redact=slowly) as there:
        await whole_turn(here, "t1", "s1")
        before = now() if asked == "old" else None
        admitting = asyncio.create_task(admit(there, "t2", "s1"))
        await asyncio.to_thread(reached.wait, 10)
        purging = asyncio.create_task(here.purge("s1", before=before))
        await asyncio.sleep(0.3)
        go_on.set()
        if asked == "old":
            assert await purging is False
        else:
            with pytest.raises(TurnBusy, match="'t2'"):
                await purging
        await admitting
        assert [log.turn.id for log in await here.turns()] == ["t1", "t2"]


@pytest.mark.parametrize(
    "sql",
    [
        "delete from turns",
        "with x as (select 1) delete from turns",
        "select 1; delete from turns",
        "pragma user_version = 7",
        "attach database 'other.db' as other",
        "select * from nowhere",
        "selec",
        "",
    ],
)
async def test_sql_that_is_no_read_is_refused(database: str, sql: str) -> None:
    async with SqlLedger(database) as ledger:
        await whole_turn(ledger)
        with pytest.raises(BadInput, match="sql="):
            await ledger.read(lambda connection: ask_sql(connection, sql, 10))
        await admit(ledger, "t2")  # and the ledger writes on
        answer = await ledger.read(
            lambda c: ask_sql(c, "select member, count(*) as seats from seats group by member", 10)
        )
        assert len(await ledger.turns()) == 2
    assert (list(answer.columns), [tuple(row) for row in answer.rows]) == (["member", "seats"], [("pilot", 2)])


async def test_a_ledger_is_exported_whole_or_not_at_all(database: str, tmp_path: Path) -> None:
    async with SqlLedger(database) as ledger:
        await whole_turn(ledger, "t1", "s1")
        await whole_turn(ledger, "t2", "s2")
        await ledger.record(outcome("t1"))
        assert await export(ledger, tmp_path / "all.jsonl") == 2
        assert await export(ledger, tmp_path / "one.parquet", session_id="s1") == 1
        with pytest.raises(BadInput, match=r"all\.csv"):
            await export(ledger, tmp_path / "all.csv")
        with pytest.raises(UnknownTurn):
            await export(ledger, tmp_path / "none.jsonl", session_id="nowhere")
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [line["turn"]["id"] for line in lines] == ["t1", "t2"]
    rows = pq.read_table(tmp_path / "one.parquet").to_pylist()
    assert [(row["seat"], row["text"], row["score"], row["is_verdict"]) for row in rows] == [
        (0, "aye", 0.5, True),
        (1, "no", 0.5, False),
    ]
    assert {file.name for file in tmp_path.iterdir() if ".part" in file.name or file.name == "none.jsonl"} == set()


async def test_what_may_not_be_kept_is_not(database: str, tmp_path: Path) -> None:
    options = {"instructions": f"never say {CANARY}", "history": [{"role": "user", "content": CANARY}], "seats": 1}
    async with SqlLedger(database, redact=without_keys) as ledger:
        await ledger.record(MEMBER)
        turn = await ledger.admit(session_id="s", turn_id="t", message=f"my key is {CANARY}", options=options)
        await ledger.record(decision("t"))
        (said,) = await ledger.record(statement("t", 0, f"{CANARY}, you say"))
        assert (turn.message, said.text) == (f"my key is {CANARY}", f"{CANARY}, you say")  # the caller's own
        assert turn.options == options
        log = await ledger.load("t")
        assert (log.turn.message, log.statements[0].text) == ("my key is [key]", "[key], you say")
        history = [{"role": "user", "content": "[key]"}]
        assert log.turn.options == {"instructions": "never say [key]", "history": history, "seats": 1}
        await export(ledger, tmp_path / "all.jsonl")
    written = b"".join(each.read_bytes() for each in tmp_path.iterdir() if each.is_file())
    assert b"[key]" in written
    assert CANARY.encode() not in written


async def test_a_turn_that_is_resumed_hears_what_was_kept(harbour: Path, database: str) -> None:
    engine = ScriptedEngine(dict.fromkeys(("pilot", "mate", "clerk"), "aye"))
    options = TurnOptions(
        seats=1,
        method="best",
        instructions=CANARY,
        history=(Message(role="user", content=f"{CANARY}!"), Message(role="assistant", content="aye")),
    )
    ledger = SqlLedger(database, redact=without_keys)
    async with Council.open(
        engine=engine, router=FirstSeats(Catalogue.load(harbour)), personas=harbour, ledger=ledger
    ) as council:
        await ledger.admit(session_id="s", turn_id="t", message=CANARY, options=options.model_dump(mode="json"))
        assert (await council.resume("t")).verdict.text == "aye"
    (told, *heard) = (message.content for message in engine.calls[-1].messages)
    assert told.endswith("\n\n[key]")
    assert heard == ["[key]!", "aye", "[key]"]


async def test_the_reading_of_sql_leaves_no_trace(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    async with SqlLedger(f"sqlite:///{file}") as ledger:
        await whole_turn(ledger)
        with pytest.raises(BadInput):
            await ledger.read(lambda c: ask_sql(c, "select load_extension('x')", 1))
    connection = sqlite3.connect(file)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_a_council_that_starts_purges_what_is_older_than_it_keeps(harbour: Path, database: str) -> None:
    engine = ScriptedEngine(dict.fromkeys(("pilot", "mate", "clerk"), "aye"))
    parts = {"engine": engine, "router": FirstSeats(Catalogue.load(harbour)), "personas": harbour, "database": database}
    async with Council.open(**parts) as council:
        old = await council.ask("how deep?")
        kept = await council.ask("and now?")
        ledger = council.parts.ledger
        assert isinstance(ledger, SqlLedger)
        await ledger._database.write(
            lambda c: c.execute(
                update(TurnRow).where(TurnRow.id == old.id).values(admitted_at=now() - timedelta(days=91))
            )
        )
    for days, left in ((None, [old.id, kept.id]), (92, [old.id, kept.id]), (90, [kept.id])):
        async with Council.open(**parts, retain_days=days) as council:
            pass
        async with SqlLedger(database) as ledger, open_saver(checkpoints_of(database)) as saver:
            assert [log.turn.id for log in await ledger.turns()] == left
            threads = {each.config["configurable"]["thread_id"] async for each in saver.alist(None)}
            assert threads == set(left)
    with pytest.raises(BadSettings, match="retain_days needs a ledger in a database"):
        Council.open(**{**parts, "database": None}, ledger=MemoryLedger(), retain_days=90)
