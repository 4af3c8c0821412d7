"""consilium ledger, consilium outcome add: what happened, what is kept of it, and what came of it."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from consilium.cli.consoles import aside, out, provisioning
from consilium.cli.options import AsJson, Database, Personas, SessionId, examples, given
from consilium.cli.rendering import clean, shortened
from consilium.cli.running import run
from consilium.cli.transcript import decided, stated
from consilium.errors import BadInput, TurnFailed

if TYPE_CHECKING:
    from consilium.ledger.asking import Answer
    from consilium.ledger.entries import OutcomeEntry, TurnLog
    from consilium.ledger.sql import SqlLedger

ledger_app = typer.Typer(help="Read and keep the ledger.", no_args_is_help=True)
outcome_app = typer.Typer(help="Say what came of a turn.", no_args_is_help=True)

TurnId = Annotated[str, typer.Argument(help="The turn's id, as ask and ledger show print it.")]


@ledger_app.command("show", epilog=examples("ledger show", "ledger show --limit 3", "ledger show 4e964c39bb…"))
def show(
    turn: Annotated[str | None, typer.Argument(help="A turn's id; without one the newest turns are listed.")] = None,
    session: SessionId = None,
    limit: Annotated[int, typer.Option(min=1, help="List at most this many turns.")] = 20,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """List the newest turns, or show one in full: decision, statements, verdict, outcomes."""
    logs = asyncio.run(_read(database, turn, session, limit))
    if as_json:
        from pydantic import TypeAdapter

        from consilium.ledger.entries import TurnLog

        for log in logs:
            typer.echo(json.dumps(TypeAdapter(TurnLog).dump_python(log, mode="json"), ensure_ascii=False))
    elif turn is not None:
        _show_one(logs[0])
    else:
        _show_list(logs)


@ledger_app.command("recover", epilog=examples("ledger recover", "ledger recover --json"))
def recover(database: Database = None, personas: Personas = None, as_json: AsJson = False) -> None:
    """Play the turns that were cut off to their end; seats with a recorded statement are not asked again.

    A council that starts does so by itself, but leaves alone what was tried three times. Turns that a living process
    is playing are left to it.
    """
    found = run(_recover(given(database=database, personas=personas), as_json))
    if not as_json:
        aside().print(f"{found} turns were cut off." if found else "No turn was cut off.")


@ledger_app.command(
    "purge",
    epilog=examples(
        "ledger purge --session 3f2a…", "ledger purge --older-than 90d", "CONSILIUM_RETAIN_DAYS=90 ledger purge"
    ),
)
def purge(
    session: Annotated[str | None, typer.Option(help="Remove this session.", show_default=False)] = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            help="Remove sessions without a turn since: 90d, 12h, 30m.", show_default="the retain_days setting"
        ),
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Remove sessions with all that belongs to them, their checkpoints too. A running session is refused.

    Members stay, since other sessions name them.
    """
    if session is not None and older_than is not None:
        raise BadInput("purge takes either --session or --older-than. Give one of them.")
    gone = asyncio.run(_purge(database, session, older_than))
    typer.echo(json.dumps({"purged": gone})) if as_json else out().print(f"{len(gone)} sessions are gone.")


@ledger_app.command(
    "sql",
    epilog=examples('ledger sql "select member, count(*) from seats group by member"', 'ledger sql --json "select …"'),
)
def sql(
    query: Annotated[str, typer.Argument(help="One query that only reads; docs/schema.md shows the tables.")],
    limit: Annotated[int, typer.Option(min=1, help="Print at most this many rows.")] = 1_000,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Answer a query of your own. Whatever would write is refused."""
    answer = asyncio.run(_sql(database, query, limit))
    if as_json:
        for row in answer.rows:
            typer.echo(json.dumps(dict(zip(answer.columns, row, strict=True)), ensure_ascii=False, default=str))
        return
    table = Table(*(escape(shortened(column, 200)) for column in answer.columns))
    for row in answer.rows:
        table.add_row(*(escape(shortened(str(value), 200)) for value in row))
    out().print(table)


@ledger_app.command(
    "export", epilog=examples("ledger export turns.jsonl", "ledger export seats.parquet --session 3f2a…")
)
def export(
    file: Annotated[Path, typer.Argument(help="Ends in .jsonl (a turn a line) or .parquet (a seat a row).")],
    session: Annotated[str | None, typer.Option(help="Only this session.", show_default=False)] = None,
    database: Database = None,
) -> None:
    """Write the turns to a file, which is whole or not there."""
    written = asyncio.run(_export(database, file, session))
    aside().print(f"{written} turns are in {file}.", markup=False)


@outcome_app.command("add", epilog=examples("outcome add 4e964c39bb… 1.0", "outcome add 4e964c39bb… 0 --seat 1"))
def add(
    turn: TurnId,
    score: Annotated[float, typer.Argument(help="How good it was, from 0 to 1.")],
    seat: Annotated[int | None, typer.Option(help="Score this seat; without it the turn as a whole.")] = None,
    source: Annotated[Literal["user", "judge", "metric", "script"], typer.Option(help="Who says so.")] = "user",
    weight: Annotated[float, typer.Option(help="How much it counts beside others.")] = 1.0,
    key: Annotated[str | None, typer.Option(help="Record it once under this key.", show_default=False)] = None,
    database: Database = None,
) -> None:
    """Record how good a turn, or one of its seats, was. The router learns from it."""
    from consilium.council.outcomes import outcome_entry

    asyncio.run(_add(database, outcome_entry(turn, score=score, seat=seat, source=source, weight=weight, key=key)))


def _ledger(database: str | None) -> "SqlLedger":
    from consilium.ledger.sql import SqlLedger
    from consilium.settings import Settings

    return SqlLedger(Settings.load(**given(database=database)).database)


async def _recover(settings: dict[str, Any], as_json: bool) -> int:
    from consilium.council.council import Council

    with provisioning() as progress:
        council = Council.open(progress=progress, recover=False, **settings)
    found = 0
    async with council:
        async for one in council.recover():
            found += 1
            status = "failed" if isinstance(one.error, TurnFailed) else "left" if one.error else "concluded"
            if as_json:
                reason = str(one.error) if one.error else None
                typer.echo(json.dumps({"turn_id": one.turn_id, "status": status, "reason": reason}))
            else:
                said = str(one.error) if one.turn is None else one.turn.verdict.text
                out().print(f"{one.turn_id}  {status}  {clean(shortened(said, 80))}", markup=False)
    return found


def moment_before(span: str | None) -> datetime:
    """Return the moment that lies ``span`` back.

    Raises:
        BadInput: there is none, or it is no number followed by d, h or m, or longer than there is time.
    """
    if span is None:
        raise BadInput("purge was given neither --session nor --older-than, and retain_days is not set. Give one.")
    found = re.fullmatch(r"(\d{1,6})([dhm])", span)
    if found is None:
        raise BadInput(f"--older-than {span!r} is no span. Write days, hours or minutes: 90d, 12h, 30m.")
    unit = {"d": "days", "h": "hours", "m": "minutes"}[found[2]]
    try:
        return datetime.now(UTC) - timedelta(**{unit: int(found[1])})
    except OverflowError as error:
        raise BadInput(f"--older-than {span!r} is longer than there is time. Write less.") from error


async def _purge(database: str | None, session: str | None, older_than: str | None) -> list[str]:
    from consilium.council.checkpoints import open_saver
    from consilium.council.parts import checkpoints_of
    from consilium.council.retention import purge, purge_before
    from consilium.settings import Settings

    settings = Settings.load(**given(database=database))
    if older_than is None and settings.retain_days is not None:
        older_than = f"{settings.retain_days}d"
    before = None if session else moment_before(older_than)
    async with _ledger(database) as ledger, open_saver(checkpoints_of(settings.database)) as saver:
        going = purge_before(ledger, saver, before) if before else purge(ledger, saver, session or "")
        return [gone async for gone in going]


async def _sql(database: str | None, query: str, limit: int) -> "Answer":
    from consilium.ledger.asking import ask_sql

    async with _ledger(database) as ledger:
        return await ledger.read(lambda connection: ask_sql(connection, query, limit))


async def _export(database: str | None, file: Path, session: str | None) -> int:
    from consilium.ledger.export import export

    async with _ledger(database) as ledger:
        return await export(ledger, file, session_id=session)


async def _read(database: str | None, turn: str | None, session: str | None, limit: int) -> "list[TurnLog]":
    async with _ledger(database) as ledger:
        return [await ledger.load(turn)] if turn else list(await ledger.turns(session_id=session, limit=limit))


async def _add(database: str | None, entry: "OutcomeEntry") -> None:
    async with _ledger(database) as ledger:
        (stands,) = await ledger.record(entry)
    out().print(f"outcome {stands.key}: {stands.score:g} by {stands.source}")


def _show_list(logs: "list[TurnLog]") -> None:
    console = out()
    if not logs:
        console.print("The ledger is empty.")
    for log in logs:
        seats = ", ".join(f"{seat.member} {seat.weight:.2f}" for seat in log.seats) or "nobody"
        verdict = f"{log.verdict.method}: {shortened(log.verdict.text, 80)}" if log.verdict else "no verdict"
        console.print(f"[bold]{log.turn.id}[/bold]  {log.turn.admitted_at:%Y-%m-%d %H:%M:%S} UTC  {log.turn.status}")
        console.print(f"  message  {escape(shortened(log.turn.message, 80))}")
        console.print(f"  seats    {seats}")
        console.print(f"  verdict  {escape(verdict)}")


def _show_one(log: "TurnLog") -> None:
    console = out()
    console.print(f"turn {log.turn.id}, number {log.turn.number} of session {log.turn.session_id}: {log.turn.status}")
    console.print(f"message  {escape(shortened(log.turn.message, 400))}")
    if log.decision:
        console.print(decided(log.decision))
    seats = {seat.number: seat for seat in log.seats}
    for statement in log.statements:
        console.print(stated(seats[statement.seat], statement), soft_wrap=False)
    if log.verdict:
        console.print(f"verdict  {escape(shortened(log.verdict.text, 400))}  [dim]({log.verdict.method})[/dim]")
    for outcome in log.outcomes:
        target = "turn" if outcome.seat is None else f"seat {outcome.seat}"
        console.print(f"outcome  {target} {outcome.score:g} by {outcome.source}, {outcome.key}")
