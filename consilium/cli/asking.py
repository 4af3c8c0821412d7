"""consilium ask, chat, route: put messages to a council."""

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consilium.cli.consoles import aside, out, provisioning
from consilium.cli.explaining import print_explanation
from consilium.cli.options import (
    AsJson,
    Database,
    Deadline,
    HowToConclude,
    MaxTokens,
    Member,
    MinSeats,
    MustNotSit,
    MustSit,
    Personas,
    Seats,
    SessionId,
    TokenBudget,
    examples,
    given,
)
from consilium.cli.running import run

if TYPE_CHECKING:
    from consilium.council.turn import Turn

ASK_EXAMPLES = examples(
    'ask "list the ten largest files under /var/log"',
    'ask --member philosopher --member cynic --method chair "What is love?"',
    'ask --json "play some jazz" | tail -n 1',
)
CHAT_EXAMPLES = examples("chat", "chat --member philosopher", "chat --session 3f2a…")
ROUTE_EXAMPLES = examples('route "play some jazz"', 'route --explain "play some jazz"', 'route --json "play some jazz"')


def ask(
    messages: Annotated[list[str], typer.Argument(help="One message, or several that are asked one after another.")],
    member: Member = None,
    seats: Seats = None,
    min_seats: MinSeats = None,
    must_sit: MustSit = None,
    must_not_sit: MustNotSit = None,
    token_budget: TokenBudget = None,
    method: HowToConclude = None,
    max_tokens: MaxTokens = None,
    session: SessionId = None,
    deadline: Deadline = None,
    database: Database = None,
    personas: Personas = None,
    as_json: AsJson = False,
) -> None:
    """Put a message to the council: who sits and why, what each seat says, and the verdict.

    Several messages are asked one after another, each a conversation of its own unless --session is given.
    """
    chosen = given(
        members=member,
        seats=seats,
        min_seats=min_seats,
        must_sit=must_sit,
        must_not_sit=must_not_sit,
        token_budget=token_budget,
        method=method,
        max_tokens=max_tokens,
    )
    settings = given(deadline_s=deadline, database=database, personas=personas)
    run(_ask(messages, session, chosen, settings, as_json))


async def _ask(
    messages: list[str], session_id: str | None, chosen: dict[str, Any], settings: dict[str, Any], as_json: bool
) -> None:
    from consilium.cli.transcript import Transcript, headed
    from consilium.council.council import Council

    console = out()
    with provisioning() as progress:
        council = Council.open(progress=progress, **settings)
    async with council:
        session = council.session(session_id) if session_id else None
        for message in messages:
            if as_json:
                print_turn(await council.ask(message, session=session, **chosen))
                continue
            if len(messages) > 1:
                console.print(headed(message))
            with Transcript(console) as transcript:
                async for event in council.stream(message, session=session, **chosen):
                    transcript.show(event)


def print_turn(turn: "Turn") -> None:
    """Print a turn as one line of JSON."""
    from pydantic import TypeAdapter

    typer.echo(json.dumps(TypeAdapter(type(turn)).dump_python(turn, mode="json"), ensure_ascii=False))


def chat(
    session: SessionId = None,
    member: Member = None,
    seats: Seats = None,
    min_seats: MinSeats = None,
    must_sit: MustSit = None,
    must_not_sit: MustNotSit = None,
    token_budget: TokenBudget = None,
    method: HowToConclude = None,
    max_tokens: MaxTokens = None,
    database: Database = None,
    personas: Personas = None,
) -> None:
    """Talk with the council, line by line; /members lists who may sit, /quit ends it.

    Members hear what was said before. The session's id is printed, so that it can be gone on with.
    """
    chosen = given(
        members=member,
        seats=seats,
        min_seats=min_seats,
        must_sit=must_sit,
        must_not_sit=must_not_sit,
        token_budget=token_budget,
        method=method,
        max_tokens=max_tokens,
    )
    run(_chat(session, chosen, given(database=database, personas=personas)))


async def _chat(session_id: str | None, chosen: dict[str, Any], settings: dict[str, Any]) -> None:
    from consilium.cli.transcript import Transcript
    from consilium.council.council import Council
    from consilium.errors import BadInput, TurnFailed

    console = out()
    with provisioning() as progress:
        council = Council.open(progress=progress, **settings)
    async with council:
        session = council.session(session_id)
        aside().print(f"session {session.id}; /members, /quit", markup=False)
        while (line := await asyncio.to_thread(_line)) is not None and line != "/quit":
            if line == "/members":
                console.print("  ".join(council.parts.catalogue.members))
            elif line:
                try:
                    with Transcript(console) as transcript:
                        async for event in session.stream(line, **chosen):
                            transcript.show(event)
                except (BadInput, TurnFailed) as error:
                    aside().print(f"error: {error}", markup=False)


def _line() -> str | None:
    """Return the next line that is typed or piped in; None at its end."""
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except EOFError:
        return None


def route(
    message: Annotated[str, typer.Argument(help="What would be asked.")],
    member: Member = None,
    seats: Seats = None,
    min_seats: MinSeats = None,
    must_sit: MustSit = None,
    must_not_sit: MustNotSit = None,
    token_budget: TokenBudget = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say how the decision comes about.")] = False,
    database: Database = None,
    personas: Personas = None,
    as_json: AsJson = False,
) -> None:
    """Say who would sit, and how surely; nobody speaks and nothing is recorded."""
    from consilium.council.council import Council
    from consilium.council.parts import named_router
    from consilium.ledger.memory import MemoryLedger
    from consilium.members.catalogue import Catalogue
    from consilium.settings import Settings

    settings = Settings.load(**given(personas=personas, database=database))
    catalogue = Catalogue.load(settings.personas)
    with provisioning() as progress:
        router = named_router("live", settings, catalogue, progress)
        council = Council.open(router=router, ledger=MemoryLedger(), catalogue=catalogue, progress=progress)
    chosen = given(
        members=member,
        seats=seats,
        min_seats=min_seats,
        must_sit=must_sit,
        must_not_sit=must_not_sit,
        token_budget=token_budget,
    )
    explanation = asyncio.run(council.explain(message, **chosen)) if explain else None
    decision = explanation.decision if explanation else asyncio.run(council.route(message, **chosen))
    if as_json:
        from pydantic import TypeAdapter

        typer.echo(json.dumps(TypeAdapter(type(decision)).dump_python(decision, mode="json")))
        return
    seated = {choice.member: choice.weight for choice in decision.seats}
    console = out()
    console.print(f"{decision.router} router {decision.digest[:12]}{', abstained' if decision.abstained else ''}")
    for name, score in sorted(decision.scores.items(), key=lambda item: -item[1]):
        place = f"[bold]sits, weight {seated[name]:.2f}[/bold]" if name in seated else ""
        console.print(f"  {name:<16} {score:6.3f}  {'█' * round(score * 30):<30}  {place}")
    if explanation:
        print_explanation(explanation)
