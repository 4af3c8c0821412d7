"""Canaries: a key, a password and what the redaction hook takes out are found in nothing that is kept, said or sent."""

import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from langchain_core.tracers.context import collect_runs
from langsmith.run_trees import RunTree
from sqlalchemy import make_url

from consilium import Council, ScriptedEngine
from consilium.engines.protocol import Message
from consilium.engines.vllm.engine import VllmEngine
from consilium.errors import BadSettings, EngineLost, LedgerError, TurnFailed
from consilium.ledger.asking import ask_sql
from consilium.ledger.export import export
from consilium.ledger.orm import Table
from consilium.ledger.sql import SqlLedger
from consilium.members.catalogue import Catalogue
from consilium.settings import Settings
from tests.support.canary import CANARY, check_unseen, texts_in
from tests.support.council import FirstSeats
from tests.support.postgres import new_database
from tests.support.tiny import write_base_of_adapters
from tests.support.vllm import FakeVllm

SAID = {"pilot": "port", "mate": f"{CANARY}, you say", "clerk": "hm"}


async def everything(ledger: SqlLedger, folder: Path) -> str:
    """Return all that the ledger tells: every table by SQL, and both exports."""
    told = [str(log) for log in await ledger.turns()]
    for table in Table.metadata.tables:
        answer = await ledger.read(lambda connection, name=table: ask_sql(connection, f'select * from "{name}"', 1_000))  # type: ignore[misc]  # noqa: S608
        told += [str(answer.columns), *(str(row) for row in answer.rows)]
    for name in ("all.jsonl", "all.parquet"):
        await export(ledger, folder / name)
    return "\n".join(told)


def nested(run: RunTree) -> Iterator[RunTree]:
    yield run
    for child in run.child_runs:
        yield from nested(child)


@asynccontextmanager
async def listened(caplog: pytest.LogCaptureFixture, folder: Path) -> AsyncIterator[None]:
    """Log everything that anybody logs, trace every run as LangSmith would, and look through both at the end."""
    with caplog.at_level(logging.DEBUG), collect_runs() as traces:
        yield
    assert caplog.text
    assert traces.traced_runs
    check_unseen(caplog.text, *texts_in(folder))
    check_unseen(*(str(vars(each)) for root in traces.traced_runs for each in nested(root)))


async def test_a_key_that_the_server_repeats_goes_nowhere(
    harbour: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    catalogue, base = Catalogue.load(harbour), write_base_of_adapters(tmp_path / "base")
    server = FakeVllm(base=base)
    async with server.running(), listened(caplog, tmp_path):
        engine = VllmEngine(base, catalogue, [server.url], key=CANARY)
        ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}")
        async with Council.open(
            engine=engine, router=FirstSeats(catalogue), ledger=ledger, personas=harbour, api_key=CANARY, seats=1
        ) as council:
            await council.ask("w20 w21", max_tokens=4)
            server.faults = ["401"] * 10
            with pytest.raises(TurnFailed) as failed:
                await council.ask("w20 w22", max_tokens=4)
            check_unseen(repr(council.parts), str(failed.value))
            told = await everything(ledger, tmp_path)
    assert f"bearer {CANARY}" in server.keys
    assert "refuses the key: AuthenticationError" in told
    assert "Incorrect API key provided" in told
    check_unseen(told)


async def test_a_password_goes_nowhere(
    harbour: Path, tmp_path: Path, postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = make_url(new_database(postgres)).set(password=CANARY)  # the server trusts whoever reaches its socket
    nowhere = url.set(host="127.0.0.1", port=9, query={})
    async with listened(caplog, tmp_path):
        async with Council.open(
            engine=ScriptedEngine(dict.fromkeys(SAID, "aye")),
            router=FirstSeats(Catalogue.load(harbour)),
            personas=harbour,
            database=url.render_as_string(hide_password=False),
            learning=True,
        ) as council:
            turn = await council.ask("which side?")
            await council.outcome(turn, score=1.0, source="user")
            await council.ask("which side now?")
            ledger = council.parts.ledger
            assert isinstance(ledger, SqlLedger)
            checkpoints = await ledger.read(lambda c: ask_sql(c, "select * from checkpoints", 100))
            check_unseen(await everything(ledger, tmp_path), str(checkpoints), repr(council.parts.settings), ledger.url)
        assert checkpoints.rows
        with pytest.raises(LedgerError) as refused:
            async with SqlLedger(nowhere.render_as_string(hide_password=False)):
                pass
    check_unseen(str(refused.value))


async def test_what_is_redacted_is_in_no_file_and_no_log_of_ours(
    harbour: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}", redact=lambda text: re.sub(r"sk-[\w-]+", "[key]", text))
    engine = ScriptedEngine({**SAID, "pilot": EngineLost(f"no room for {CANARY}")})
    with caplog.at_level(logging.DEBUG):
        async with Council.open(
            engine=engine,
            router=FirstSeats(Catalogue.load(harbour)),
            ledger=ledger,
            personas=harbour,
            deliberation="vote",
        ) as council:
            turn = await council.ask(
                f"my key is {CANARY}",
                instructions=f"never say {CANARY}",
                history=[Message(role="user", content=f"before, it was {CANARY}")],
            )
            assert CANARY in turn.verdict.text + str(turn.seats)  # whoever asked gets the whole
            assert all(str(call.messages).count(CANARY) == 3 for call in engine.calls)  # and so do the members
            told = await everything(ledger, tmp_path)
            errors = await ledger.read(lambda c: ask_sql(c, "select error_message from statements", 100))
    check_unseen(told, caplog.text, *texts_in(tmp_path))
    assert all(kept in told for kept in ("my key is [key]", "never say [key]", "before, it was [key]"))
    assert ("no room for [key]",) in [tuple(row) for row in errors.rows]


@pytest.mark.parametrize("content", [f"api_key = ['{CANARY}']", f"api_key = '{CANARY}", f"api_kye = '{CANARY}'"])
def test_a_settings_file_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "consilium.toml").write_text(content)
    with pytest.raises(BadSettings) as refused:
        Settings.load()
    error: BaseException | None = refused.value
    while error is not None:  # a traceback shows the causes too
        check_unseen(str(error))
        error = error.__cause__


def test_settings_do_not_show_what_is_secret() -> None:
    settings = Settings.load(api_key=CANARY, database=f"postgresql+psycopg://council:{CANARY}@db/ledger")
    check_unseen(repr(settings), str(settings), json.dumps(settings.model_dump(mode="json", exclude={"database"})))
