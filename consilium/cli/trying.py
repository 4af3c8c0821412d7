"""consilium eval router: try routers side by side, with requests that none was fitted on."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from rich.table import Table

from consilium.cli.consoles import aside, out
from consilium.cli.evaluating import Rounding, bar_of, base_of, command_line, opened
from consilium.cli.options import AsJson, Personas, examples
from consilium.cli.places import drawable, writable
from consilium.cli.routing import Data, More, Rows, Seed
from consilium.cli.trials import hear, try_all
from consilium.errors import BadSettings

if TYPE_CHECKING:
    from consilium.evaluation.matrix import Task
    from consilium.evaluation.routed import Tried
    from consilium.evaluation.seating import Foreign
    from consilium.members.base import Base
    from consilium.members.catalogue import Catalogue
    from consilium.routing.cascade import Cascade
    from consilium.routing.classifier import Example
    from consilium.routing.contestants import Contestants
    from consilium.routing.requests import Requests
    from consilium.routing.states import KeptStates
    from consilium.settings import Settings
    from consilium.training.rows import Row

    Work: TypeAlias = tuple[list[Task], dict[str, list[Row]]]
    """What members are to answer: their own work, and by set, work that nobody was trained for."""

FITTED, PROMPTED = "hierarchical", "prompted"
SHOWN = 25
"""Requests of each member on the map."""
Routers = Annotated[str, typer.Option(help="Names, separated by commas; else all but 'prompted', which takes minutes.")]
Files = Annotated[
    list[Path] | None,
    typer.Option(help="A fitted router; may be repeated.", show_default="that beside the catalogue"),
]
Heard = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Let whoever is seated answer so many rows of each member, and hear all members on work that nobody was "
        "trained for: what decisions are worth. Takes minutes.",
    ),
]
EVAL_EXAMPLES = examples(
    "eval router --data ../shared/data/house --more ../shared/data/router",
    "eval router --data ../shared/data/house --routers hierarchical,tf-idf --json",
    "eval router --data ../shared/data/house --file one.safetensors --file other.safetensors",
    "eval router --data ../shared/data/house --routers hierarchical --heard 40",
)


def eval_router(
    data: Data,
    more: More = None,
    rows: Rows = 500,
    routers: Routers = "",
    file: Files = None,
    heard: Heard = None,
    precision: Rounding = None,
    work: Annotated[Path, typer.Option(help="Folder where answers are kept.")] = Path("storage/evaluation"),
    seed: Seed = 0,
    page: Annotated[
        Path | None, typer.Option(help="Write the page of results here, and its pictures beside it.")
    ] = None,
    personas: Personas = None,
    as_json: AsJson = False,
) -> None:
    """Try routers with requests that none was fitted on: raw, phrased, laid out, from elsewhere, in conversation.

    The baselines are fitted first, on the same rows as each other.
    """
    from consilium.evaluation.router_page import figures
    from consilium.members.base import BUILT_IN
    from consilium.routing.cascade import Cascade
    from consilium.routing.contestants import contestants, stages_of
    from consilium.routing.requests import gather
    from consilium.routing.router_file import read_router

    settings, catalogue = opened(personas, precision)
    requests = gather(catalogue, data, more, rows=rows, seed=seed)
    page, answers = page and drawable(page), writable(work / "answers.jsonl")
    base, files = base_of(settings, BUILT_IN), _fitted(catalogue, file or [])
    asked = _work(catalogue, data, more, heard, seed)
    shared = _shared(base, files.values(), work)
    made = contestants(catalogue, requests, base, files, read=lambda router: shared[router.digest], seed=seed)
    chosen = _chosen(routers, [*made, PROMPTED]) or list(made)
    if any({name, *stages_of(name)} & set(chosen) for name in files):
        _read_ahead({*shared.values()}, requests, asked, catalogue)
    tried, unseen = asyncio.run(
        _try(
            {name: made[name] for name in chosen if name != PROMPTED},
            requests,
            asked,
            prompted=PROMPTED in chosen,
            settings=settings,
            catalogue=catalogue,
            answers=answers,
            seed=seed,
        )
    )
    found = {name: figures(each) for name, each in tried.items()}
    _show(found)
    if page is not None:
        pictures = _draw(tried, page)
        if files:
            pictures += _draw_map(Cascade(read_router(files[FITTED]), base), requests, page)
        _write_page(tried, unseen, pictures, page, files, catalogue.fallback)
    if as_json:
        typer.echo(json.dumps({"routers": found, "unseen": {name: each.figures() for name, each in unseen.items()}}))


def _shared(base: "Base", files: Iterable[Path], folder: Path) -> "dict[str, KeptStates]":
    """Return what reads for each fitted router, by its digest; those that read alike share it."""
    from consilium.routing.deep import StateEncoder
    from consilium.routing.router_file import read_router
    from consilium.routing.states import KeptStates
    from consilium.routing.tuning import digest_of, from_tensors

    readers: dict[tuple[int, str], KeptStates] = {}
    shared = {}
    for router in map(read_router, files):
        depth = router.card.depth
        adapter = from_tensors(router.tensors, depth)
        alike = (depth, digest_of(adapter))
        if alike not in readers:
            readers[alike] = KeptStates(StateEncoder(base, depth, adapter), base.name, folder)
        shared[router.digest] = readers[alike]
    return shared


def _read_ahead(shared: "Iterable[KeptStates]", requests: "Requests", work: "Work", catalogue: "Catalogue") -> None:
    """Read all requests side by side, once for all routers that read alike."""
    from consilium.routing.addressed import without_addresses

    tasks, elsewhere = work
    asked = [each.message for trial in requests.trials.values() for each in trial]
    asked += [row.request for rows in (*(task.spoken for task in tasks), *elsewhere.values()) for row in rows]
    messages = [without_addresses(message, catalogue.members) for message in asked]  # as most routers read them
    with bar_of("reading") as bar:
        task = bar.add_task("", total=len(messages))
        for states in shared:
            states(messages, lambda step: bar.update(task, completed=step.done, total=step.total))


def _chosen(names: str, known: Sequence[str]) -> list[str]:
    """Return the names of routers; raises `BadSettings` for one that is not known."""
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := [name for name in chosen if name not in known]:
        raise BadSettings(f"no router is called {unknown[0]!r}. Choose of {', '.join(known)}.")
    return chosen


async def _try(
    makers: "Contestants",
    requests: "Requests",
    work: "Work",
    *,
    prompted: bool,
    settings: "Settings",
    catalogue: "Catalogue",
    answers: Path,
    seed: int,
) -> "tuple[dict[str, Tried], dict[str, Foreign]]":
    """Let routers decide, the bare base among them if it is wanted, and members answer if there is work for them."""
    from consilium.engines.embedded.engine import EmbeddedEngine
    from consilium.evaluation.answers import Answers
    from consilium.routing.prompted import PromptedRouter

    tasks, elsewhere = work
    asked = {task.name: task.spoken for task in tasks} | elsewhere
    if not (tasks or prompted):
        return (await try_all(makers, requests.trials, asked, catalogue))[0], {}
    async with EmbeddedEngine(base_of(settings), catalogue, precision=settings.precision) as engine:
        if prompted:
            makers = {**makers, PROMPTED: lambda: PromptedRouter(engine, catalogue)}
        tried, seats = await try_all(makers, requests.trials, asked, catalogue)
        return await hear(
            Answers(engine, answers, seed=seed), tried, seats, tasks, elsewhere, catalogue, first=_first(tried)
        )


def _work(catalogue: "Catalogue", data: Sequence[Path], more: Path | None, count: int | None, seed: int) -> "Work":
    """Return what members are to answer: their own work, and work that none was trained for."""
    from consilium.evaluation.tasks import Tasks
    from consilium.evaluation.unseen import unseen_rows
    from consilium.training.data import data_of

    if count is None:
        return [], {}
    members = [each for each in catalogue.members.values() if each.adapter and data_of(each, data) is not None]
    tasks = Tasks(catalogue.members.values(), data, sample=count, seed=seed)
    elsewhere = unseen_rows(more, count, seed=seed) if more else {}
    return [tasks.read(member) for member in members], elsewhere


def _draw(tried: "Mapping[str, Tried]", page: Path) -> list[tuple[str, str]]:
    """Draw pictures beside the page, and return what each shows and its file name."""
    from consilium.evaluation.routed import pooled
    from consilium.evaluation.router_pictures import draw_reliability, draw_usage

    usage, reliability = _beside(page, "usage"), _beside(page, "reliability")
    draw_usage(tried[_first(tried)].conditions, usage)
    draw_reliability({name: pooled(list(each.conditions.values())) for name, each in tried.items()}, reliability)
    return [
        ("Mean score of each member for each kind of request", usage.name),
        ("How often each router is right, by how sure it is", reliability.name),
    ]


def _draw_map(cascade: "Cascade", requests: "Requests", page: Path) -> list[tuple[str, str]]:
    """Draw members and some of the requests that were tried in the router's space, where any are for its members."""
    from consilium.evaluation.router_pictures import draw_map

    picture = _beside(page, "map")
    alone = [each for kind in ("raw", "phrased") for each in requests.trials.get(kind, ())]
    shown = [each for name in cascade.card.members for each in _some(alone, name)]
    if not shown:
        return []
    points, keys = cascade.points([each.message for each in shown])
    known = [place for place, name in enumerate(cascade.card.members) if _some(alone, name)]
    draw_map(points.numpy(), [each.member for each in shown], keys[known].numpy(), picture)
    return [("Requests, small, and members, large, in the router's space", picture.name)]


def _some(examples: "Sequence[Example]", member: str) -> "Sequence[Example]":
    own = [each for each in examples if each.member == member]
    return own[:: max(1, len(own) // SHOWN)][:SHOWN]


def _beside(page: Path, name: str) -> Path:
    return page.with_name(f"{page.stem}-{name}.svg")


def _first(tried: "Mapping[str, Tried]") -> str:
    """Return the router that the others are compared with."""
    return FITTED if FITTED in tried else next(iter(tried))


def _write_page(
    tried: "Mapping[str, Tried]",
    unseen: "Mapping[str, Foreign]",
    pictures: Sequence[tuple[str, str]],
    page: Path,
    fitted: Iterable[str],
    fallback: str,
) -> None:
    from consilium.evaluation.router_page import router_page
    from consilium.members.files import write_whole
    from consilium.routing.contestants import stages_of

    text = router_page(
        tried,
        unseen,
        first=_first(tried),
        fitted={name: stages_of(name) for name in fitted},
        fallback=fallback,
        command=command_line(),
        pictures=pictures,
    )
    write_whole(page, text.encode())
    aside().print(f"wrote {page} and {', '.join(name for _, name in pictures)}")


def _fitted(catalogue: "Catalogue", files: Sequence[Path]) -> dict[str, Path]:
    """Return the files of fitted routers, by the name that tables give them."""
    from consilium.routing.router_file import ROUTER_FILE

    beside = catalogue.root / ROUTER_FILE
    chosen = files or ([beside] if beside.exists() else [])
    return {FITTED if not number else f"{FITTED} {number + 1}": path for number, path in enumerate(chosen)}


def _show(figures: "Mapping[str, Mapping[str, Any]]") -> None:
    first = next(iter(figures.values()))
    heard = any("regret" in found for found in figures.values())
    table = Table("router", *first["kinds"], "ece", *(("of oracle", "regret") if heard else ()), box=None)
    for name, found in figures.items():
        shares = (f"{100 * share:.1f}" for share in found["kinds"].values())
        of_oracle = f"{100 * found['of_oracle']:.1f}" if "of_oracle" in found else ""
        worth = (of_oracle, f"{found['regret']:.3f}") if "regret" in found else ()
        table.add_row(name, *shares, f"{found['ece']:.3f}", *worth)
    out().print(table)
