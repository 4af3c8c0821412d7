"""consilium eval members: each member at its own work and at everybody else's, beside the bare base."""

import asyncio
import json
import shlex
import sys
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from consilium.cli.consoles import aside, out, provisioning
from consilium.cli.options import AsJson, Personas, examples, given
from consilium.cli.places import drawable, writable
from consilium.errors import BadRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consilium.evaluation.matrix import Matrix, Task
    from consilium.members.base import Base
    from consilium.members.catalogue import Catalogue, Member
    from consilium.settings import Settings

OTHERS_ROWS = 40

Rounding = Annotated[
    Literal["float32", "bfloat16"] | None,
    typer.Option(help="Of products with the base's weights: float32 is exact, bfloat16 faster where there is AMX."),
]

eval_app = typer.Typer(help="Measure members, routers and the council.", no_args_is_help=True)


@eval_app.command(
    "members",
    epilog=examples(
        "eval members --data ../shared/data/house --sample 40",
        "eval members --data ../shared/data/house --members operator,analyst --json",
        "eval members --data ../shared/data/house --page docs/results/members.md",
        "eval members --data ../shared/data/house --multitask my/control --others 0",
    ),
)
def eval_members_command(
    data: Annotated[
        list[Path],
        typer.Option(
            help="Folder with a folder for each member, or with the files that personas name; may be repeated."
        ),
    ],
    members: Annotated[str, typer.Option(help="Names, separated by commas; else all whose rows are there.")] = "",
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Use at most this many held-out rows.", show_default="200 spoken, all scored"),
    ] = None,
    others: Annotated[
        int, typer.Option(min=0, help="Rows that members answer whose work it is not; 0: own work and controls alone.")
    ] = OTHERS_ROWS,
    multitask: Annotated[
        Path | None, typer.Option(help="Folder that `train multitask` worked in: its adapter is one more control.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of sampling, of rows and of tokens.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume/--afresh", help="Keep what was answered before, or ask for all of it anew.")
    ] = True,
    precision: Rounding = None,
    work: Annotated[Path, typer.Option(help="Folder where answers are kept.")] = Path("storage/evaluation"),
    page: Annotated[
        Path | None,
        typer.Option(help="Write the page of results here, and beside it the heatmap of who is good at whose work."),
    ] = None,
    personas: Personas = None,
    as_json: AsJson = False,
) -> None:
    """Score members on held-out rows: their own work, everybody else's, and the bare base with and without examples.

    Each member's own figures go into results.json beside its persona. Nothing that a member says is ever run.
    """
    from consilium.evaluation.tasks import Tasks

    settings, catalogue, chosen = chosen_members(members, data, personas, precision)
    page = page and drawable(page)
    control, learned = (None, None) if multitask is None else _control(multitask, catalogue)
    tasks = Tasks(catalogue.members.values(), data, sample=sample, seed=seed)
    matrix = measure_members(
        settings,
        catalogue,
        [tasks.read(member) for member in chosen],
        others=others,
        seed=seed,
        answers=work / "answers.jsonl",
        resume=resume,
        multitask=control,
    )
    show(matrix)
    if page is not None:
        _write_page(matrix, page, learned)
    if as_json:
        from consilium.evaluation.members_page import figures

        typer.echo(json.dumps({"members": figures(matrix)}, ensure_ascii=False))


def measure_members(
    settings: "Settings",
    catalogue: "Catalogue",
    tasks: "Sequence[Task]",
    *,
    others: int,
    seed: int,
    answers: Path,
    resume: bool,
    multitask: "Member | None" = None,
) -> "Matrix":
    """Measure, with a bar, and write each member's results.json."""
    from consilium.engines.embedded.engine import EmbeddedEngine
    from consilium.evaluation.answers import Answers
    from consilium.evaluation.matrix import asked, measure
    from consilium.evaluation.results import RESULTS_FILE, read_training, write_results

    for task in tasks:  # what may fail for want of a right, a package or a readable reference fails before the hours
        writable(catalogue.root / task.name / RESULTS_FILE)
        read_training(catalogue.root, task.name)
        task.work.trivial(task.spoken)
    writable(answers)
    if not resume:
        answers.unlink(missing_ok=True)
    fallback = catalogue.get(catalogue.fallback)
    if multitask is not None:
        catalogue = replace(catalogue, members={**catalogue.members, multitask.name: multitask})

    async def run() -> "Matrix":
        bar = bar_of("measuring")
        with bar:
            task = bar.add_task("rows", total=asked(tasks, others, multitask=multitask is not None))
            async with EmbeddedEngine(base_of(settings), catalogue, precision=settings.precision) as engine:
                return await measure(
                    Answers(engine, answers, seed=seed),
                    fallback,
                    tasks,
                    others_rows=others,
                    multitask=multitask,
                    on_done=lambda count: bar.advance(task, count),
                )

    matrix = asyncio.run(run())
    for task in tasks:
        write_results(catalogue.root, matrix, task, seed=seed, command=command_line())
    return matrix


def chosen_members(
    names: str, data: "Sequence[Path]", personas: Path | None, precision: str | None = None
) -> "tuple[Settings, Catalogue, Sequence[Member]]":
    """Return the members of those names, or else all that have an adapter and whose rows lie in ``data``."""
    from consilium.training.data import data_of

    settings, catalogue = opened(personas, precision)
    chosen = catalogue.pick([name.strip() for name in names.split(",") if name.strip()]) or tuple(
        member for member in catalogue.members.values() if member.adapter and data_of(member, data) is not None
    )
    if not chosen:
        raise BadRows(f"{', '.join(map(str, data))} hold no rows for any member. Name a folder with one for each.")
    return settings, catalogue, chosen


def _control(folder: Path, catalogue: "Catalogue") -> "tuple[Member, dict[str, Any]]":
    """Return the control in ``folder`` as a member, which the catalogue need not know, and what its training took."""
    from consilium.evaluation.matrix import MULTITASK
    from consilium.evaluation.results import read_training
    from consilium.members.adapter import unpinned_adapter
    from consilium.members.catalogue import ADAPTER_FOLDER, Member

    training = read_training(folder.parent, folder.name)
    if training is None or "rank" not in training:  # a member's folder says what it was trained on, and no rank
        raise BadRows(f"{folder} holds no control. Name the folder that `consilium train multitask` worked in.")
    persona = catalogue.get(catalogue.fallback).persona.model_copy(update={"name": MULTITASK})
    return Member(persona=persona, adapter=unpinned_adapter(folder / ADAPTER_FOLDER)), training


def show(matrix: "Matrix") -> None:
    """Print each member's headline figures beside the controls'."""
    from consilium.evaluation.members_page import figures

    arms = ("trivial", *matrix.controls, "member")
    table = Table(box=None, header_style="bold")
    for column in ("member", "metric", "rows", *arms):
        table.add_column(column, justify="left" if column in ("member", "metric") else "right")
    for name, found in figures(matrix).items():
        table.add_row(name, str(found["metric"]), str(found["rows"]), *(f"{found[arm]:.1f}" for arm in arms))
    out().print(table)


def _write_page(matrix: "Matrix", page: Path, control: "dict[str, Any] | None") -> None:
    from consilium.evaluation.heatmap import draw_heatmap
    from consilium.evaluation.members_page import members_page
    from consilium.members.files import write_whole

    picture = page.with_suffix(".svg") if matrix.crossed else None
    if picture:
        draw_heatmap(matrix, picture)
    text = members_page(matrix, command=command_line(), picture=picture.name if picture else None, control=control)
    write_whole(page, text.encode())
    aside().print(f"wrote {page}" + (f" and {picture}" if picture else ""), markup=False)


def command_line() -> str:
    """Return the command that is being run, to be put beside what it made, short of where answers are kept."""
    keeping = ArgumentParser(add_help=False, allow_abbrev=False)
    keeping.add_argument("--work")
    for choice in ("--resume", "--afresh"):
        keeping.add_argument(choice, action="store_true")
    _, said = keeping.parse_known_args(sys.argv[1:])
    return shlex.join(["consilium", *said])


def opened(personas: Path | None, precision: str | None = None, *, untrained: str = "") -> "tuple[Settings, Catalogue]":
    """Return settings and catalogue; ``untrained``: the member whose adapter is not looked at."""
    from consilium.members.catalogue import Catalogue
    from consilium.settings import Settings

    settings = Settings.load(**given(personas=personas, precision=precision))
    return settings, Catalogue.load(settings.personas, untrained=untrained)


def base_of(settings: "Settings", reference: str | None = None) -> "Base":
    """Open the settings' base model, or another; shows a bar while it is provisioned."""
    from consilium.members.base import open_base

    with provisioning() as progress:
        return open_base(reference or settings.base, cache=settings.cache_dir, progress=progress)


def bar_of(title: str) -> Progress:
    """Return a bar for long work."""
    columns = (
        TextColumn(title),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}  {task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=aside())
