"""consilium members import, consilium members export: character cards, in and out."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from consilium.cli.consoles import aside, out
from consilium.cli.options import AsJson, Personas, examples, given
from consilium.cli.rendering import clean

IMPORT_EXAMPLES = examples(
    "members import seraphina.png",
    "members import seraphina.charx --group guests --name sera",
    "members import seraphina.json --replace --json",
)
EXPORT_EXAMPLES = examples(
    "members export philosopher philosopher.json",
    "members export philosopher philosopher.png --image portrait.png",
    "members export philosopher philosopher.json --spec v2",
)


def import_command(
    card: Annotated[Path, typer.Argument(help="A character card of V2 or V3: .png, .json or .charx.")],
    group: Annotated[
        str | None,
        typer.Option(help="Its group; 'characters' unless the card or the catalogue has one.", show_default=False),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The member's name; made of the character's if not given.", show_default=False)
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a member of that name.")] = False,
    personas: Personas = None,
    as_json: AsJson = False,
) -> None:
    """Make a member of a character card: it speaks through the bare base with the card's system prompt.

    The card is kept beside the persona as it came. What a member does without (pictures, lorebooks, scripts) is said,
    and never opened, fetched or run.
    """
    from consilium.members.card_exchange import import_card

    done = import_card(card, _root(personas), name=name, group=group, replace=replace)
    if as_json:
        answer = {
            "member": done.member,
            "persona": str(done.persona),
            "card": done.version,
            "warnings": list(done.warnings),
        }
        typer.echo(json.dumps(answer, ensure_ascii=False))
        return
    for warning in done.warnings:
        aside().print(f"note: {clean(warning)}", markup=False)
    out().print(f"{done.member} joined {done.group}, from a card of {done.version}: {done.persona}", markup=False)


def export_command(
    name: Annotated[str, typer.Argument(help="The member's name in the catalogue.")],
    file: Annotated[Path, typer.Argument(help="The card to write, over an old one: .json, .png or .charx.")],
    spec: Annotated[Literal["v2", "v3"], typer.Option(help="Which Character Card specification to follow.")] = "v3",
    image: Annotated[
        Path | None, typer.Option(help="For a .png: the picture that carries the card.", show_default=False)
    ] = None,
    personas: Personas = None,
) -> None:
    """Write a member as a character card: persona, examples, sampling, and what its adapter is and was trained on.

    A member that came from a card keeps everything that was in it. The adapter's weights are not in a card.
    """
    from consilium.members.card_exchange import export_card

    export_card(name, _root(personas), file, spec=spec, image=image)
    out().print(f"{name} written to {file}", markup=False)


def _root(personas: Path | None) -> Path:
    from consilium.settings import Settings

    return Settings.load(**given(personas=personas)).personas
