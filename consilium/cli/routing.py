"""consilium train router: fit the hierarchical router on the members' rows."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consilium.cli.consoles import aside
from consilium.cli.evaluating import bar_of, base_of, command_line, opened
from consilium.cli.options import Database, Personas, examples
from consilium.cli.places import writable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.progress import Progress

    from consilium.members.catalogue import Catalogue
    from consilium.routing.classifier import Example
    from consilium.routing.fitting import FitStep
    from consilium.routing.requests import Requests
    from consilium.settings import Settings

FOLDER = Path("storage") / "router"
LOGGED = ("reading", "tuning the encoder")
"""Of what a fit does, what tells where it stands in a log file, in which a bar would only show at its end."""

Data = Annotated[list[Path], typer.Option(help="Folder with a folder for each member; may be repeated.")]
More = Annotated[
    Path | None,
    typer.Option(help="Folder of requests from elsewhere, for members and for nobody: clinc150, sgd, p3_sample, bbh …"),
]
Rows = Annotated[int | None, typer.Option(min=1, help="Learn from at most so many rows of each member.")]
Tune = Annotated[
    int,
    typer.Option(
        min=0,
        help="Tune how the base reads for the deep stage by so many examples, through an adapter of the router's own; "
        "28,000 take twenty to forty minutes on two cores.",
        show_default="0: read with the bare base",
    ),
]
Seed = Annotated[int, typer.Option(help="Of everything that is drawn.")]


TRAIN_EXAMPLES = examples(
    "train router --data ../shared/data/house --data ../shared/data/personas --more ../shared/data/router",
    "train router --data my/rows --from-ledger -o storage/router.safetensors",
    "train router --data my/rows --rows 300 -o my/router.safetensors",
    "train router --data my/rows --tune 28000",
)


def train_router(
    data: Data,
    more: More = None,
    rows: Rows = None,
    heard: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Let every member hear so many rows of each, and the open work in --more: how likely it finds the "
            "reference says who is right, and what seating another loses. Takes minutes.",
        ),
    ] = None,
    tune: Tune = 0,
    seed: Seed = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it.", show_default="beside the catalogue")
    ] = None,
    work: Annotated[Path, typer.Option(help="Folder where what the base has read is kept.")] = FOLDER,
    from_ledger: Annotated[
        bool, typer.Option("--from-ledger", help="Learn from the ledger's scored turns too, weighted by propensity.")
    ] = False,
    database: Database = None,
    personas: Personas = None,
) -> None:
    """Fit the hierarchical router on the members' rows, and put it beside the catalogue."""
    from consilium.members.base import BUILT_IN
    from consilium.routing.fitting import FitSettings
    from consilium.routing.making import make_router
    from consilium.routing.requests import gather
    from consilium.routing.router_file import ROUTER_FILE, check_size, write_router

    settings, catalogue = opened(personas)
    check_size(len(catalogue.members), tuned=tune > 0)
    requests = gather(catalogue, data, more, rows=rows, seed=seed)
    path, kept = writable(output or catalogue.root / ROUTER_FILE), writable(work / "heard.jsonl")
    if from_ledger:
        requests = _with_logged(requests, settings, database, catalogue, seed)
    likelihoods = {} if heard is None else _heard(settings, catalogue, requests, data, more, heard, kept)
    started = time.monotonic()
    with bar_of("fitting") as bar:
        card, tensors = make_router(
            requests.fit,
            requests.dev,
            catalogue.group_of,
            base_of(settings, BUILT_IN),
            open_work=requests.open_work,
            unlabelled=requests.unlabelled,
            stays=requests.stays,
            heard=likelihoods,
            settings=FitSettings(tuning_examples=tune),
            kept=work,
            seed=seed,
            on_step=_shown_on(bar),
        )
    made = {**card.made, "seconds": round(time.monotonic() - started, 1), "command": command_line()}
    digest = write_router(path, card.model_copy(update={"made": made}), tensors)
    aside().print(
        f"{path}: router {digest[:12]}, {len(card.members)} members, {len(requests.fit):,} examples, "
        f"{path.stat().st_size / 1e6:.1f} MB, alone from a certainty of {card.certain:.3f} on"
    )


def _shown_on(bar: "Progress") -> "Callable[[str, FitStep], None]":
    """Return what shows a fit's steps on a progress bar."""
    task = bar.add_task("", total=1)

    def told(what: str, step: "FitStep") -> None:
        loss = f"  loss {step.loss:.3f}" if step.loss else ""
        bar.update(task, description=f"{what}{loss}", completed=step.done, total=step.total)
        if what in LOGGED and not bar.console.is_terminal:
            bar.console.print(f"{what} {step.done:,}/{step.total:,}")

    return told


def _with_logged(
    requests: "Requests", settings: "Settings", database: str | None, catalogue: "Catalogue", seed: int
) -> "Requests":
    """Return the requests with examples drawn from the ledger's scored turns."""
    from dataclasses import replace

    from consilium.learning.refit import logged_examples
    from consilium.ledger.sql import SqlLedger

    async def run() -> "list[Example]":
        async with SqlLedger(database or settings.database) as ledger:
            return await logged_examples(ledger, catalogue, seed=seed)

    logged = asyncio.run(run())
    aside().print(f"{len(logged):,} examples drawn from the ledger's scored turns")
    return replace(requests, fit=(*requests.fit, *logged))


def _heard(
    settings: "Settings",
    catalogue: "Catalogue",
    requests: "Requests",
    data: Sequence[Path],
    more: Path | None,
    count: int,
    kept: Path,
) -> dict[str, list[float]]:
    """Return, by request, how likely each member finds the reference, in nats a token; asked once, kept in a file."""
    from consilium.engines.embedded.engine import EmbeddedEngine
    from consilium.evaluation.answers import Answers
    from consilium.evaluation.seating import likelihoods
    from consilium.routing.sources import open_work
    from consilium.training.data import data_of, split_of

    learned = {each.message for each in requests.fit}
    trained = [member for member in catalogue.members.values() if data_of(member, data) is not None]
    parts = ([row for row in split_of(member, data).train if row.request in learned] for member in trained)
    rows = [row for part in parts for row in part[:count]]
    rows += [row for part in open_work(more).values() for row in part if row.replies] if more else []

    async def run() -> "NDArray[np.float64]":
        with bar_of("hearing") as bar:
            task = bar.add_task("rows", total=len(rows) * len(catalogue.members))
            async with EmbeddedEngine(base_of(settings), catalogue, precision=settings.precision) as engine:
                answers = Answers(engine, kept)
                return await likelihoods(answers, rows, catalogue, lambda count: bar.advance(task, count))

    nats = asyncio.run(run()).tolist()
    return {row.request: found for row, found in zip(rows, nats, strict=True)}
