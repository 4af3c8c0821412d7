"""consilium play: play a script, and say whether what it expects holds."""

import asyncio
import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from consilium.cli.consoles import aside, out, provisioning
from consilium.cli.options import AsJson, Database, Personas, examples, given
from consilium.cli.places import writable
from consilium.cli.rendering import clean, shortened
from consilium.errors import BadScript

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from consilium.council.council import Council
    from consilium.scripts.play import Check, Play, Said
    from consilium.scripts.script import Script

PLAY_EXAMPLES = examples(
    "play debate",
    "play debate --set topic=courage",
    "play my.play.toml --record my.replay.json",
    "play my.play.toml --replay my.replay.json --json",
)
FOUND_CHARS = 160


def play(
    file: Annotated[str | None, typer.Argument(help="A .toml or .yaml script, or the name of a shipped one.")] = None,
    variables: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE in place of the script's variable; may be repeated.")
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Write what was answered to this file.")] = None,
    replay: Annotated[Path | None, typer.Option(help="Answer from a recorded play; no model is needed.")] = None,
    ask_router: Annotated[
        bool, typer.Option("--ask-router", help="With --replay: let the router decide anew.")
    ] = False,
    show_list: Annotated[bool, typer.Option("--list", help="List the scripts that come with the package.")] = False,
    database: Database = None,
    personas: Personas = None,
    as_json: AsJson = False,
) -> None:
    """Play a script: a dialogue with the council that is also a test.

    Ends with 1 where an expectation failed, the play stopped, or a replay differs from what was recorded; with 2 where
    the script is broken, before anything is played.
    """
    if show_list:
        return _list()
    if file is None:
        raise BadScript("no script is named. Give a file, or one of: consilium play --list.")
    if ask_router and replay is None:
        raise BadScript("--ask-router goes with --replay. Give a recorded play, or leave it out.")
    from consilium.scripts.script import Script
    from consilium.scripts.tape import Tape

    script = Script.read(file, variables=_variables(variables or []))
    record = record and writable(record)
    tape = Tape.read(replay) if replay else Tape()
    with provisioning() as progress:
        settings = given(personas=personas, database=database, progress=progress)
        if replay:
            council = tape.open(script, ask_router=ask_router, **settings)
        else:
            council = tape.recording(script.open(**settings)) if record else script.open(**settings)
    played = asyncio.run(_play(script, council, silent=as_json))
    if replay:
        played = replace(played, differences=tape.differences(played))
    _print_json(played) if as_json else _print_end(out(), played)
    if record:
        tape.write(record, played)
        aside().print(f"recorded in {record}")
    if not played.passed:
        raise typer.Exit(1)


def _list() -> None:
    from consilium.scripts.script import Script, shipped_scripts

    for path in shipped_scripts():
        file = Script.read(path).file
        out().print(f"{path.name.removesuffix('.play.toml'):<12} {file.title}. {file.description or ''}")


def _variables(options: "Sequence[str]") -> dict[str, str]:
    if wrong := [option for option in options if "=" not in option]:
        raise BadScript(f"--set {wrong[0]!r} has no '='. Write NAME=VALUE.")
    return {name: value for name, _, value in (option.partition("=") for option in options)}


async def _play(script: "Script", council: "Council", *, silent: bool) -> "Play":
    from consilium.cli.transcript import Transcript
    from consilium.scripts.play import Play, PlayedTurn, Said

    console = out()
    transcript = Transcript(console)
    with ExitStack() as turn:
        async with council:
            async for event in script.stream(council):
                match event:
                    case Play():
                        return event
                    case _ if silent:
                        pass
                    case Said():
                        _print_said(console, event)
                        transcript = turn.enter_context(Transcript(console))
                    case PlayedTurn():
                        turn.close()
                        _print_checks(console, event.checks)
                    case _:
                        transcript.show(event)
    raise BadScript("the play ended without a report.")


def _print_said(console: "Console", said: "Said") -> None:
    console.rule(f"turn {said.number} of {said.of}", align="left")
    speaker = f"{said.played_by}, as the user" if said.played_by else "user"
    console.print(f"[magenta]{speaker}[/magenta]     {escape(clean(said.message))}")


def _print_checks(console: "Console", checks: "Sequence[Check]") -> None:
    for check in checks:
        wanted, found = (escape(shortened(text, FOUND_CHARS)) for text in (check.wanted, check.found))
        if check.held:
            console.print(f"[green]holds[/green]    {check.name} {wanted}")
        else:
            console.print(f"[red]fails[/red]    {check.name} {wanted}, found: {found} [dim](line {check.line})[/dim]")


def _print_end(console: "Console", play: "Play") -> None:
    console.rule("end", align="left")
    _print_checks(console, play.checks)
    if play.stopped:
        console.print(f"[red]stopped[/red]  {escape(clean(play.stopped))}")
    for difference in play.differences:
        console.print(f"[red]differs[/red]  {escape(clean(difference))}")
    checks = [check for turn in play.turns for check in turn.checks] + list(play.checks)
    held = sum(check.held for check in checks)
    verdict = "[green]passed[/green]  " if play.passed else "[red]failed[/red]  "
    console.print(
        f"{verdict} {len(play.turns)} turns, {held} of {len(checks)} expectations hold, "
        f"{play.tokens} tokens, {play.seconds:.1f} s"
    )


def _print_json(play: "Play") -> None:
    from pydantic import TypeAdapter

    held: dict[str, Any] = {"passed": play.passed, "tokens": play.tokens}
    typer.echo(json.dumps({**held, **TypeAdapter(type(play)).dump_python(play, mode="json")}, ensure_ascii=False))
