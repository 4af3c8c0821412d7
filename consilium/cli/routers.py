"""consilium router promote, rollback, list; consilium eval policy: which router is in charge, and which should be."""

import asyncio
import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from consilium.cli.consoles import aside, out, provisioning
from consilium.cli.evaluating import bar_of
from consilium.cli.options import AsJson, Database, Personas, examples, given

if TYPE_CHECKING:
    from consilium.learning.off_policy import Estimate
    from consilium.learning.policy import Comparison
    from consilium.learning.scored import Scored
    from consilium.learning.versions import Promotion
    from consilium.routing.protocol import Request
    from consilium.settings import Settings

router_app = typer.Typer(help="Which router decides.", no_args_is_help=True)
LOGGED = "logged"
POLICY_EXAMPLES = examples(
    "eval policy --router logged --router centroid",
    "eval policy --router live --router storage/router.safetensors --json",
)


@router_app.command(
    "promote", epilog=examples("router promote storage/router.safetensors", "router promote 4e964c39bb")
)
def promote_command(
    router: Annotated[str, typer.Argument(help="A fitted router's file, or the digest of one that is kept.")],
    database: Database = None,
) -> None:
    """Put a router in charge of all councils on this ledger that start from now on."""
    from consilium.learning.versions import promote

    _told(promote(_settings(database).database, router))


@router_app.command("rollback", epilog=examples("router rollback"))
def rollback_command(database: Database = None) -> None:
    """Put the router in charge that was before."""
    from consilium.learning.versions import rollback

    _told(rollback(_settings(database).database))


@router_app.command("list", epilog=examples("router list", "router list --json"))
def list_command(database: Database = None, as_json: AsJson = False) -> None:
    """List the routers that are kept, and when which was put in charge."""
    from consilium.learning.versions import history

    versions, promotions = history(_settings(database).database)
    if as_json:
        found = {"versions": [asdict(v) for v in versions], "promotions": [asdict(p) for p in promotions]}
        typer.echo(json.dumps(found, default=str))
        return
    for version in versions:
        out().print(
            f"{version.digest[:12]}  kept {version.added_at:%Y-%m-%d %H:%M:%S}{'  live' if version.live else ''}"
        )
    for promotion in promotions:
        out().print(f"{promotion.promoted_at:%Y-%m-%d %H:%M:%S} UTC  {promotion.action}  {_named(promotion.digest)}")
    if not promotions:
        out().print("No router was promoted; the catalogue's own decides.")


def eval_policy(
    router: Annotated[
        list[str],
        typer.Option(
            help="Two: logged (as it was decided), live, centroid, a fitted router's file, or the digest of a kept one."
        ),
    ],
    since: Annotated[datetime | None, typer.Option(help="Only turns admitted from then on, UTC.")] = None,
    personas: Personas = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Estimate from logged turns what two routers are worth: IPS, self-normalised IPS, doubly robust, with intervals.

    Refused where the logged turns say too little of one of them.
    """
    from consilium.errors import BadSettings

    if len(set(router)) != 2:
        raise BadSettings(f"--router was given as {router!r}. Name two different routers.")
    found = asyncio.run(_compared(_settings(database, personas), router, since))
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    _show(found)


async def _compared(settings: "Settings", names: list[str], since: datetime | None) -> "Comparison":
    from datetime import UTC

    from consilium.council.parts import named_router
    from consilium.learning.policy import compare
    from consilium.ledger.sql import SqlLedger
    from consilium.members.catalogue import Catalogue

    catalogue = Catalogue.load(settings.personas)
    with provisioning() as progress:
        routers = {
            name: None if name == LOGGED else named_router(name, settings, catalogue, progress) for name in names
        }
    start = since.replace(tzinfo=UTC) if since else None
    async with SqlLedger(settings.database) as ledger:
        with bar_of("deciding") as bar:
            task = bar.add_task("", total=1)
            return await compare(
                ledger,
                routers,
                request_of,
                since=start,
                on_done=lambda done, total: bar.update(task, completed=done, total=total),
            )


def request_of(turn: "Scored") -> "Request":
    """Return what a logged turn asked of its router."""
    from consilium.council.options import TurnOptions

    options = TurnOptions.model_validate(turn.log.turn.options)
    return options.request(turn.log.turn.message, turn.history, turn.sat)


def _show(found: "Comparison") -> None:
    out().print(f"{found.turns:,} scored turns, mean outcome {found.mean:.3f}")
    table = Table("", "effective turns", *(f"{method}" for method in found.gains), box=None)
    for name, worth in found.routers.items():
        table.add_row(name, f"{worth.effective:.0f}", *(_bounds(each) for each in worth.estimates.values()))
    first, second = found.routers
    table.add_row(f"{second} above {first}", "", *(_bounds(each) for each in found.gains.values()))
    out().print(table)


def _bounds(each: "Estimate") -> str:
    return f"{each.value:+.3f} [{each.low:+.3f}, {each.high:+.3f}]"


def _settings(database: str | None, personas: object = None) -> "Settings":
    from consilium.settings import Settings

    return Settings.load(**given(database=database, personas=personas))


def _told(promotion: "Promotion") -> None:
    aside().print(f"{promotion.action}: {_named(promotion.digest)} decides from now on")


def _named(digest: str | None) -> str:
    return digest[:12] if digest else "the catalogue's own router"
