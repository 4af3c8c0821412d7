"""consilium report: who sits, what came of it, how far scores can be trusted, what it costs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from consilium.cli.consoles import aside, out
from consilium.cli.options import AsJson, Database, given
from consilium.cli.options import examples as examples_of
from consilium.cli.places import drawable
from consilium.cli.rendering import shortened

if TYPE_CHECKING:
    from consilium.learning.reports import Row

REPORT_EXAMPLES = examples_of("report usage", "report members --json", "report router --picture calibration.png")


def report(
    of: Annotated[Literal["usage", "members", "router", "costs"], typer.Argument(help="What is asked.")],
    picture: Annotated[Path | None, typer.Option(help="Draw it into this file, .png or .svg.")] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Sum up the ledger: who sits when, win rates with intervals, calibration, tokens and time, drift over days."""
    from consilium.evaluation.pictures import check_format
    from consilium.learning.reports import REPORTS
    from consilium.learning.transactions import transact
    from consilium.settings import Settings

    if picture is not None:
        check_format(picture)
        drawable(picture)
    found = transact(Settings.load(**given(database=database)).database, REPORTS[of])
    if picture is not None:
        from consilium.learning.report_pictures import draw

        draw(found, picture)
        aside().print(f"{picture} drawn", markup=False)
    if as_json:
        typer.echo(json.dumps({"report": of, **found.tables}, ensure_ascii=False))
        return
    for title, rows in found.tables.items():
        out().print(f"[bold]{title}[/bold]" if rows else f"[bold]{title}[/bold]  nothing on record")
        if rows:
            out().print(_table(rows))


def _table(rows: "list[Row]") -> Table:
    table = Table(box=None)
    for name, value in rows[0].items():
        table.add_column(name.replace("_", " "), justify="left" if isinstance(value, str) else "right")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return (
        f"{value:,.3f}"
        if isinstance(value, float)
        else shortened(f"{value:,}" if isinstance(value, int) else str(value), 40)
    )
