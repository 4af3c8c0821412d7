"""What the children of the SIGKILL harness do: a council at work, and its recovery. Imported once, forked often."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import langgraph.checkpoint.postgres.aio  # imported here, so that no child has to
import langgraph.checkpoint.sqlite.aio  # noqa: F401
import psycopg  # noqa: F401

import consilium.council.graph  # noqa: F401
from consilium.council.council import Council
from consilium.council.events import Admitted, Concluded
from consilium.council.hearing import digest_of
from consilium.council.parts import checkpoints_of
from consilium.engines.protocol import Delta, Prompt, Spoken
from consilium.engines.scripted import ScriptedEngine
from consilium.errors import UnknownTurn
from consilium.ledger.entries import UNFINISHED, EntryT, TurnEntry, TurnLog, now
from consilium.ledger.sql import SqlLedger
from consilium.members.catalogue import Catalogue
from tests.support.council import FirstSeats
from tests.support.faults import Faults

SESSIONS = [
    [("How deep is it?", "best"), ("And at low water?", "chair")],
    [("Who is on watch?", "vote"), ("And who was?", "best")],
]
"""Sessions that run at the same time, with their messages and methods, asked one after another."""
MEMBERS = ("pilot", "mate", "clerk")


def untagged(message: str) -> str:
    """Return a message without the trial that it belongs to."""
    return re.sub(r"trial \d+: ", "", message)


def _reply(prompt: Prompt) -> str:
    """Answer with a digest of all that was heard, so that whoever hears something else says something else."""
    heard = "\n".join(untagged(message.content) for message in prompt.messages)
    return f"{prompt.member} heard {hashlib.sha256(heard.encode()).hexdigest()[:12]}"


class PayingEngine(ScriptedEngine):
    """Writes down each call when it is made."""

    def __init__(self, receipts: Path) -> None:
        super().__init__(dict.fromkeys(MEMBERS, _reply), token_s=0.0005)
        self._receipts = receipts

    async def generate(self, prompt: Prompt) -> AsyncIterator[Delta | Spoken]:
        _append(self._receipts, digest_of(prompt))
        async for piece in super().generate(prompt):
            yield piece


class LateAdmission(SqlLedger):
    """A control: turns are accepted before they are recorded, and recorded with the first entry that needs them."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._late: dict[str, dict[str, Any]] = {}

    async def admit(self, **turn: Any) -> TurnEntry:  # noqa: ANN401 -- handed on as they are
        self._late[turn["turn_id"]] = turn
        kept = {name: turn[name] for name in ("session_id", "message", "options")}
        return TurnEntry(id=turn["turn_id"], number=1, status="open", admitted_at=now(), **kept)

    async def record(self, *entries: EntryT) -> tuple[EntryT, ...]:
        for entry in entries:
            if (late := self._late.pop(getattr(entry, "turn_id", ""), None)) is not None:
                await super().admit(**late)
        return await super().record(*entries)


class Forgetful(SqlLedger):
    """A control: whoever takes a turn up is not told what was said, and no key keeps it from being said again."""

    async def claim(self, turn_id: str) -> TurnLog:
        log = await super().claim(turn_id)
        return replace(log, statements=()) if log.turn.status in UNFINISHED else log


LEDGERS: Mapping[str, type[SqlLedger]] = {"as shipped": SqlLedger, "late": LateAdmission, "forgetful": Forgetful}
Place: TypeAlias = tuple[str, str, Path]
"""Kind of ledger, its URL, and the folder where personas and receipts lie."""


def play(place: Place, trial: int, die_at: int | None) -> None:
    """Ask all messages; ``points`` gets the list of fault points where the process lives to write it."""
    faults = Faults(die_at)
    faults.install()
    asyncio.run(_play(place, trial))
    (place[2] / "points").write_text("\n".join(faults.points))


def recover(place: Place, trials: range, round_: int, die_at: int | None) -> None:
    """Take up what was cut off, and score again what may or may not have been scored."""
    Faults(die_at).install()
    asyncio.run(_recover(place, trials, round_))


async def _play(place: Place, trial: int) -> None:
    async with _council(place, f"{trial}-0") as council, asyncio.TaskGroup() as group:
        for messages in SESSIONS:
            group.create_task(_converse(council, messages, place[2] / f"accepted-{trial}", trial))


async def _converse(council: Council, messages: list[tuple[str, Any]], accepted: Path, trial: int) -> None:
    session = council.session()
    for message, method in messages:
        async for event in session.stream(f"trial {trial}: {message}", method=method):
            if isinstance(event, Admitted):
                _append(accepted, event.turn_id)
            elif isinstance(event, Concluded):
                await council.outcome(event.turn, score=0.5, key=f"{event.turn_id} by the harness")


async def _recover(place: Place, trials: range, round_: int) -> None:
    async with _council(place, f"{trials[0]}-{round_}") as council:
        async for _ in council.recover():
            pass
        for turn_id in (line for trial in trials for line in _lines(place[2] / f"accepted-{trial}")):
            with suppress(UnknownTurn):  # lost: the harness will find that
                await council.outcome(turn_id, score=0.5, key=f"{turn_id} by the harness")


def _council(place: Place, name: str) -> Council:
    kind, url, folder = place
    personas = folder / "personas"
    council = Council.open(
        engine=PayingEngine(folder / f"paid-{name}"),
        router=FirstSeats(Catalogue.load(personas)),
        ledger=LEDGERS[kind](url),
        personas=personas,
        recover=False,
        seats=2,
    )
    return Council(replace(council.parts, checkpoints=checkpoints_of(url)))


def _append(file: Path, line: str) -> None:
    with file.open("a") as opened:  # one write: whole, or not there
        opened.write(line + "\n")


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
