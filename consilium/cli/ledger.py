"""consilium ledger, consilium outcome add: what happened, what is kept of it, and what came of it."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from consilium.cli.consoles import aside, out, provisioning
from consilium.cli.options import AsJson, Database, Personas, SessionId, examples, given
from consilium.cli.rendering import clean, shortened
from consilium.cli.running import run
from consilium.cli.transcript import decided, stated
from consilium.errors import TurnFailed

if TYPE_CHECKING:
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
