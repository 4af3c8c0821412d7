"""consilium train router, consilium eval router: fit a router, and try it beside the baselines."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from consilium.cli.consoles import aside, out
from consilium.cli.evaluating import bar_of, base_of, command_line, opened
from consilium.cli.options import AsJson, Personas, examples
from consilium.errors import BadSettings

if TYPE_CHECKING:
    from consilium.evaluation.routed import Routed
    from consilium.members.base import Base
    from consilium.members.catalogue import Catalogue
    from consilium.routing.classifier import Example
    from consilium.routing.fitting import FitStep
    from consilium.routing.protocol import Router
    from consilium.routing.requests import Requests

PROMPTED = "prompted"
FOLDER = Path("storage") / "router"
SENTENCE_ROWS = 400
"""Examples of each member that the sentence encoder's baselines are fitted on; each takes it milliseconds."""

Data = Annotated[list[Path], typer.Option(help="Folder with a folder for each member; may be repeated.")]
More = Annotated[
    Path | None, typer.Option(help="Folder of requests from elsewhere: clinc150, sgd, p3_sample, truthfulqa.")
]
Rows = Annotated[int | None, typer.Option(min=1, help="Learn from at most so many rows of each member.")]
Seed = Annotated[int, typer.Option(help="Of everything that is drawn.")]


TRAIN_EXAMPLES = examples(
    "train router --data ../shared/data/house --data ../shared/data/personas --more ../shared/data/router",
    "train router --data my/rows --rows 300 -o my/router.safetensors",
)
EVAL_EXAMPLES = examples(
    "eval router --data ../shared/data/house --more ../shared/data/router",
    "eval router --data ../shared/data/house --routers hierarchical,tf-idf --json",
)


def train_router(
    data: Data,
    more: More = None,
    rows: Rows = None,
    seed: Seed = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it.", show_default="beside the catalogue")
    ] = None,
    work: Annotated[Path, typer.Option(help="Folder where what the base has read is kept.")] = FOLDER,
    personas: Personas = None,
) -> None:
    """Fit the hierarchical router on the members' rows, and put it beside the catalogue."""
    from consilium.members.base import BUILT_IN
    from consilium.routing.making import make_router
    from consilium.routing.requests import gather
    from consilium.routing.router_file import ROUTER_FILE, write_router

    settings, catalogue = opened(personas)
    requests = gather(catalogue, data, more, rows=rows, seed=seed)
    started = time.monotonic()
    with bar_of("fitting") as bar:
        task = bar.add_task("", total=1)

        def told(what: str, step: "FitStep") -> None:
            loss = f"  loss {step.loss:.3f}" if step.loss else ""
            bar.update(task, description=f"{what}{loss}", completed=step.done, total=step.total)

        card, tensors = make_router(
            requests.fit,
            requests.dev,
            groups_of(catalogue),
            base_of(settings, BUILT_IN),
            kept=work,
            seed=seed,
            on_step=told,
        )
    made = {**card.made, "seconds": round(time.monotonic() - started, 1), "command": command_line()}
    path = output or catalogue.root / ROUTER_FILE
    digest = write_router(path, card.model_copy(update={"made": made}), tensors)
    aside().print(
        f"{path}: router {digest[:12]}, {len(card.members)} members, {len(requests.fit):,} examples, "
        f"{path.stat().st_size / 1e6:.1f} MB, alone from a certainty of {card.certain:.3f} on"
    )


def eval_router(
    data: Data,
    more: More = None,
    rows: Rows = 500,
    routers: Annotated[
        str, typer.Option(help="Names, separated by commas; else all but 'prompted', which takes minutes.")
    ] = "",
    file: Annotated[
        Path | None, typer.Option(help="The fitted router.", show_default="that beside the catalogue")
    ] = None,
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
    from consilium.members.base import BUILT_IN
    from consilium.routing.requests import gather

    settings, catalogue = opened(personas)
    requests = gather(catalogue, data, more, rows=rows, seed=seed)
    base = base_of(settings, BUILT_IN)
    made = _routers(catalogue, requests, base, file, seed)
    named = [name.strip() for name in routers.split(",") if name.strip()]
    if unknown := [name for name in named if name not in (*made, PROMPTED)]:
        raise BadSettings(f"no router is called {unknown[0]!r}. Choose of {', '.join((*made, PROMPTED))}.")
    chosen = {name: make for name, make in made.items() if not named or name in named}
    results, speeds = asyncio.run(_try_all(chosen, requests, catalogue, base if PROMPTED in named else None))
    figures = {name: _figures(parts, speeds[name]) for name, parts in results.items()}
    _show(figures)
    if page is not None:
        _write_page(results, speeds, page)
    if as_json:
        typer.echo(json.dumps({"routers": figures}))


async def _try_all(
    routers: "Mapping[str, Callable[[], Router]]", requests: "Requests", catalogue: "Catalogue", base: "Base | None"
) -> "tuple[dict[str, dict[str, Routed]], dict[str, float]]":
    """Return each router's trials by condition, and how many milliseconds one of its decisions takes.

    Where a base is given, it is tried as a router too.
    """
    from consilium.engines.embedded.engine import EmbeddedEngine
    from consilium.routing.prompted import PromptedRouter

    results: dict[str, dict[str, Routed]] = {}
    speeds: dict[str, float] = {}
    asked = sum(map(len, requests.trials.values()))
    async with AsyncExitStack() as stack:
        makers = dict(routers)
        if base is not None:
            engine = await stack.enter_async_context(EmbeddedEngine(base, catalogue))
            makers[PROMPTED] = lambda: PromptedRouter(engine, catalogue)
        bar = stack.enter_context(bar_of("trying"))
        task = bar.add_task("", total=len(makers) * asked)
        for name, make in makers.items():
            bar.update(task, description=name)
            router, started = make(), time.perf_counter()
            results[name] = {}
            for kind, trial in requests.trials.items():
                results[name][kind] = await _tried(router, trial, catalogue)
                bar.advance(task, len(trial))
            speeds[name] = 1e3 * (time.perf_counter() - started) / asked
    return results, speeds


def _write_page(results: "Mapping[str, Mapping[str, Routed]]", speeds: Mapping[str, float], page: Path) -> None:
    """Write the page and its pictures."""
    from consilium.evaluation.routed import pooled
    from consilium.evaluation.router_page import router_page
    from consilium.evaluation.router_pictures import draw_reliability, draw_usage
    from consilium.members.files import write_whole

    first = "hierarchical" if "hierarchical" in results else next(iter(results))
    usage, reliability = (page.with_name(f"{page.stem}-{name}.svg") for name in ("usage", "reliability"))
    draw_usage(results[first], usage)
    draw_reliability({name: pooled(list(parts.values())) for name, parts in results.items()}, reliability)
    pictures = [("Mean score of each member for each kind of request", usage.name)]
    pictures += [("How often each router is right, by how sure it is", reliability.name)]
    text = router_page(results, speeds, first=first, command=command_line(), pictures=pictures)
    write_whole(page, text.encode())
    aside().print(f"wrote {page}, {usage.name} and {reliability.name}")


def groups_of(catalogue: "Catalogue") -> dict[str, int]:
    """Return the number of each member's group."""
    groups = list(dict.fromkeys(member.persona.group for member in catalogue.members.values()))
    return {name: groups.index(member.persona.group) for name, member in catalogue.members.items()}


def _routers(
    catalogue: "Catalogue", requests: "Requests", base: "Base", file: Path | None, seed: int
) -> "dict[str, Callable[[], Router]]":
    """Return how to make each router; the fitted one where there is a file."""
    from consilium.routing import baselines
    from consilium.routing.centroid import CentroidRouter
    from consilium.routing.classifier import Classifier, ClassifierRouter
    from consilium.routing.hierarchical import HierarchicalRouter
    from consilium.routing.router_file import ROUTER_FILE, read_router

    right = {each.message: each.member for trial in requests.trials.values() for each in trial}
    few = _few(requests.fit, seed)
    encoders: list[Any] = []

    def by_sentence(fit: "Callable[[Sequence[Example], Any], Classifier]") -> Classifier:
        from consilium.routing.sentence import SentenceEncoder

        encoders.append(encoders[0] if encoders else SentenceEncoder())
        return fit(few, encoders[0])

    classifiers: dict[str, Callable[[], Classifier]] = {
        "chance": lambda: baselines.chance(catalogue, seed),
        "keywords": lambda: baselines.keywords(catalogue),
        "naive Bayes": lambda: baselines.naive_bayes(requests.fit),
        "tf-idf": lambda: baselines.tfidf(requests.fit),
        "MiniLM centroid": lambda: by_sentence(baselines.sentence_centroid),
        "MiniLM kNN": lambda: by_sentence(baselines.sentence_neighbours),
        "MiniLM logistic": lambda: by_sentence(baselines.sentence_logistic),
        "oracle": lambda: baselines.oracle(right, catalogue),
    }

    def by_classifier(make: Callable[[], Classifier]) -> "Router":
        return ClassifierRouter(make(), catalogue)

    made: dict[str, Callable[[], Router]] = {name: partial(by_classifier, make) for name, make in classifiers.items()}
    made["centroid"] = lambda: CentroidRouter(base, catalogue)
    path = file or catalogue.root / ROUTER_FILE
    if file or path.exists():
        made["hierarchical"] = lambda: HierarchicalRouter(read_router(path), base, catalogue)
    return made


def _few(fit: "Sequence[Example]", seed: int) -> "list[Example]":
    """Return at most `SENTENCE_ROWS` examples of each member."""
    drawn = Random(seed).sample(fit, len(fit))
    by_member: dict[str, list[Example]] = {}
    for each in drawn:
        by_member.setdefault(each.member, []).append(each)
    return [each for part in by_member.values() for each in part[:SENTENCE_ROWS]]


async def _tried(router: "Router", trial: "Sequence[Example]", catalogue: "Catalogue") -> "Routed":
    """Ask a router for a decision on each request, one at a time."""
    import numpy as np

    from consilium.evaluation.routed import Routed
    from consilium.routing.protocol import Request

    members = tuple(catalogue.members)
    scores = []
    for each in trial:
        history, sat = ((each.before,), (each.sat,)) if each.before else ((), ())
        decision = await router.route(Request(message=each.message, history=history, sat=sat, seats=1))
        scores.append([decision.scores[name] for name in members])
    right = np.array([members.index(each.member) for each in trial])
    return Routed(members=members, scores=np.array(scores), right=right)


def _figures(parts: "Mapping[str, Routed]", milliseconds: float) -> dict[str, Any]:
    """Return a router's figures: over all, and how often it is right in each kind of trial."""
    from consilium.evaluation.routed import pooled
    from consilium.evaluation.router_page import by_kind

    return {
        **pooled(list(parts.values())).figures(),
        "ms": milliseconds,
        "conditions": {name: float(part.hits.mean()) for name, part in parts.items()},
        "kinds": {kind: float(routed.hits.mean()) for kind, routed in by_kind(parts).items()},
    }


def _show(figures: "Mapping[str, Mapping[str, Any]]") -> None:
    kinds = list(next(iter(figures.values()))["kinds"])
    table = Table("router", *kinds, "ece", "ms", box=None)
    for name, found in figures.items():
        shares = (f"{100 * found['kinds'][kind]:.1f}" for kind in kinds)
        table.add_row(name, *shares, f"{found['ece']:.3f}", f"{found['ms']:.2f}")
    out().print(table)
