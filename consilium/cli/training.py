"""consilium train member, consilium eval member: make an adapter, and measure it against the base."""

import asyncio
import json
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from consilium.cli.consoles import aside, out, provisioning
from consilium.cli.options import AsJson, Personas, examples, given
from consilium.errors import AdapterRefused, BadRows

if TYPE_CHECKING:
    from consilium.evaluation.held_out import Score, Style
    from consilium.members.base import Base
    from consilium.members.base import Progress as Report
    from consilium.members.catalogue import Catalogue, Member
    from consilium.settings import Settings
    from consilium.training.recipe import Step, Trained
    from consilium.training.rows import Split

RESULTS_FILE = "results.json"

train_app = typer.Typer(help="Train members.", no_args_is_help=True)
eval_app = typer.Typer(help="Measure members.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The member's name in the catalogue.")]
Data = Annotated[Path, typer.Option(help="Folder with train, dev and test.jsonl, or one JSONL file.")]
Sample = Annotated[int, typer.Option(min=1, help="Score at most this many held-out rows.")]
Seed = Annotated[int, typer.Option(help="Of initialisation, shuffling and sampling.")]


@train_app.command("member", epilog=examples("train member operator --data ../shared/data/house/operator"))
def train_member_command(
    name: Name,
    data: Data,
    seed: Seed = 0,
    sample: Sample = 200,
    work: Annotated[Path | None, typer.Option(help="Folder for checkpoints; a killed run goes on from it.")] = None,
    personas: Personas = None,
) -> None:
    """Train a member's adapter on rows of text, check it, install it, and measure it against the base.

    How rows become requests and replies, and the recipe's few figures, are in the [training] table of its persona.
    """
    settings, catalogue, member = _opened(name, personas)
    split = _split(member, data)
    from consilium.training.installing import data_digest, install_adapter
    from consilium.training.recipe import train_member

    with provisioning() as progress:
        base = _base(settings, progress)
    folder = work or Path("storage") / "training" / name
    with _bar("training") as bar:
        task = bar.add_task("", total=1.0)
        trained = train_member(
            member.persona,
            split.train,
            base,
            folder,
            dev=split.dev,
            seed=seed,
            on_step=lambda step: _show_step(bar, task, step),
        )
    _check_gain(name, trained)
    adapter = install_adapter(trained.folder, catalogue.root, name)
    aside().print(f"installed {name}@{adapter.pin.digest[:12]}, {adapter.bytes_on_disk / 1e6:.2f} MB")
    training = _provenance(trained, split, seed, data_digest(data))
    _measure(settings, name, split, data, sample, seed, training)


@eval_app.command("member", epilog=examples("eval member operator --data ../shared/data/house/operator --sample 100"))
def eval_member_command(
    name: Name,
    data: Data,
    sample: Sample = 200,
    seed: Seed = 0,
    personas: Personas = None,
    as_json: AsJson = False,
) -> None:
    """Score a member and the bare base on held-out rows; writes results.json beside its persona."""
    settings, catalogue, member = _opened(name, personas)
    split = _split(member, data)
    file = catalogue.root / name / RESULTS_FILE
    training = json.loads(file.read_bytes()).get("training") if file.exists() else None
    results = _measure(settings, name, split, data, sample, seed, training)
    if as_json:
        typer.echo(json.dumps(results, ensure_ascii=False))


def _show_step(bar: Progress, task: TaskID, step: "Step") -> None:
    losses = f"loss {step.loss:.3f}" + (f"  dev {step.dev_loss:.3f}" if step.dev_loss is not None else "")
    bar.update(task, description=losses, completed=step.done, total=step.total)
    if not bar.console.is_terminal:  # a bar in a log file would only show at its end
        bar.console.print(f"step {step.done}/{step.total}  {losses}  {step.seconds:,.0f} s")


def _opened(name: str, personas: Path | None) -> "tuple[Settings, Catalogue, Member]":
    from consilium.members.catalogue import Catalogue
    from consilium.settings import Settings

    settings = Settings.load(**given(personas=personas))
    catalogue = Catalogue.load(settings.personas)
    return settings, catalogue, catalogue.get(name)


def _base(settings: "Settings", progress: "Report") -> "Base":
    from consilium.members.base import open_base

    return open_base(settings.base, cache=settings.cache_dir, progress=progress)


def _split(member: "Member", data: Path) -> "Split":
    from consilium.training.rows import read_split

    if member.persona.training is None:
        raise BadRows(f"{member.name!r} has no [training] table in its persona. Write one, or name another member.")
    return read_split(data, member.persona.training.rows)


def _bar(title: str) -> Progress:
    columns = (
        TextColumn(title),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=aside())


def _check_gain(name: str, trained: "Trained") -> None:
    """Raise `AdapterRefused` where the bare base does as well on the rows that were not learned from."""
    if trained.dev_loss is None or trained.base_dev_loss is None or trained.dev_loss < trained.base_dev_loss:
        return
    raise AdapterRefused(
        f"{name!r} was trained, but is no better than the bare base on its dev rows (loss {trained.dev_loss:.3f}, base "
        f"{trained.base_dev_loss:.3f}); {trained.folder} was not installed. Lower the learning rate, or give more rows."
    )


def _provenance(trained: "Trained", split: "Split", seed: int, digest: str) -> dict[str, Any]:
    from importlib.metadata import version

    return {
        "rows": {"train": trained.rows, "dev": len(split.dev), "test": len(split.test)},
        "data_sha256": digest,
        "steps": trained.steps,
        "seconds": round(trained.seconds, 1),
        "loss": round(trained.loss, 4),
        "dev_loss": {"base": trained.base_dev_loss, "member": trained.dev_loss},
        "seed": seed,
        "versions": {package: version(package) for package in ("torch", "transformers", "peft", "trl")},
        "command": shlex.join(["consilium", *sys.argv[1:]]),
    }


def _measure(
    settings: "Settings",
    name: str,
    split: "Split",
    data: Path,
    sample: int,
    seed: int,
    training: dict[str, Any] | None,
) -> dict[str, Any]:
    """Score the member as it is installed now, write results.json, and show the figures."""
    from consilium.members.catalogue import Catalogue
    from consilium.members.files import write_whole

    catalogue = Catalogue.load(settings.personas)
    started = time.monotonic()
    figures, rows = asyncio.run(_evaluate(settings, catalogue, name, split, data, sample, seed))
    results = {
        "member": catalogue.get(name).content_name,
        "held_out_rows": rows,
        "held_out": {
            metric: {"base": round(score.base, 4), "member": round(score.member, 4)}
            for metric, score in figures.items()
        },
        "units": "loss in nats a token; all else shares from 0 to 1",
        "seed": seed,
        "seconds": round(time.monotonic() - started, 1),
        "command": shlex.join(["consilium", *sys.argv[1:]]),
        "training": training,
    }
    text = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
    write_whole(catalogue.root / name / RESULTS_FILE, text.encode())
    console = out()
    console.print(f"{results['member']} on {rows} held-out rows")
    for metric, score in figures.items():
        console.print(f"  {metric:<16} base {score.base:7.3f}   member {score.member:7.3f}")
    return results


async def _evaluate(
    settings: "Settings", catalogue: "Catalogue", name: str, split: "Split", data: Path, sample: int, seed: int
) -> "tuple[dict[str, Score], int]":
    from consilium.engines.embedded.engine import EmbeddedEngine
    from consilium.evaluation.held_out import evaluate_member, sampled

    member, fallback = catalogue.get(name), catalogue.get(catalogue.fallback)
    rows = sampled(split.test, sample, seed)
    with provisioning() as progress:
        base = _base(settings, progress)
    with _bar("measuring") as bar:
        task = bar.add_task("", total=100)
        async with EmbeddedEngine(base, catalogue) as engine:
            figures = await evaluate_member(
                engine,
                member,
                fallback,
                rows,
                style=_style(member, data, split),
                on_done=lambda share: bar.update(task, completed=100 * share),
            )
    return figures, len(rows)


def _style(member: "Member", data: Path, split: "Split") -> "Style | None":
    """Return how the member's author is recognised: against the other authors in the same folder."""
    if member.persona.training is None or member.persona.training.metric != "style":
        return None
    from consilium.evaluation.held_out import Style
    from consilium.evaluation.style import read_style_texts

    return Style(
        texts=read_style_texts(data.parent),
        author=data.stem,
        contrast=split.dev,
        learned=tuple(row.replies[0] for row in split.train),
    )
