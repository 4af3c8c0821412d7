"""consilium members: who can sit, who comes in as a character card, and who goes out as one."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.table import Table

from consilium.cli.cards import EXPORT_EXAMPLES, IMPORT_EXAMPLES, export_command, import_command
from consilium.cli.consoles import out
from consilium.cli.options import AsJson, Personas, examples, given
from consilium.cli.rendering import clean

if TYPE_CHECKING:
    from consilium.members.catalogue import Catalogue, Member

members_app = typer.Typer(
    help="List who can sit, show one of them, or take one in or out as a character card.",
    invoke_without_command=True,
    epilog=examples("members", "members show operator", "members --json", "members import seraphina.png"),
)
members_app.command("import", epilog=IMPORT_EXAMPLES)(import_command)
members_app.command("export", epilog=EXPORT_EXAMPLES)(export_command)


@members_app.callback()
def list_members(context: typer.Context, personas: Personas = None, as_json: AsJson = False) -> None:
    """List who can sit, show one of them, or take one in or out as a character card."""
    if context.invoked_subcommand is not None:
        return
    catalogue = _catalogue(personas)
    if as_json:
        typer.echo(json.dumps({"members": [_described(member) for member in catalogue.members.values()]}))
        return
    table = Table("member", "group", "adapter", "MB", "what it does", box=None, pad_edge=False)
    for member in catalogue.members.values():
        size = f"{member.adapter.bytes_on_disk / 1e6:.2f}" if member.adapter else ""
        adapter = member.content_name if member.adapter else "(the bare base)"
        table.add_row(member.name, member.persona.group, adapter, size, escape(clean(member.persona.description)))
    out().print(table)


@members_app.command(epilog=examples("members show operator"))
def show(name: str, personas: Personas = None) -> None:
    """Show one member: its persona, its adapter, and where it comes from."""
    typer.echo(json.dumps(_described(_catalogue(personas).get(name), whole=True), indent=2, ensure_ascii=False))


def _catalogue(personas: Path | None) -> "Catalogue":
    from consilium.members.catalogue import Catalogue
    from consilium.settings import Settings

    return Catalogue.load(Settings.load(**given(personas=personas)).personas)


def _described(member: "Member", *, whole: bool = False) -> dict[str, Any]:
    fields = member.persona.model_dump(mode="json")
    if not whole:
        fields = {name: fields[name] for name in ("name", "group", "description")}
    bytes_on_disk = member.adapter.bytes_on_disk if member.adapter else 0
    return {**fields, "content_name": member.content_name, "adapter_bytes": bytes_on_disk}
