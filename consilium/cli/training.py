"""consilium train member: make an adapter."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import Progress, TaskID

from consilium.cli.consoles import aside
from consilium.cli.evaluating import (
    bar_of,
    base_of,
    chosen_members,
    command_line,
    measure_members,
    opened,
    show,
)
from consilium.cli.options import Personas, examples
from consilium.cli.places import writable
from consilium.errors import AdapterRefused, BadSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consilium.members.persona import Recipe
    from consilium.settings import Settings
    from consilium.training.recipe import Step, Tracker, Trained
    from consilium.training.rows import Lesson

TRAINING_FOLDER = Path("storage") / "training"

train_app = typer.Typer(help="Train members.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The member's name in the catalogue.")]
Data = Annotated[Path, typer.Option(help="Folder with train, dev and test.jsonl, or one JSONL file.")]
Sample = Annotated[int, typer.Option(min=1, help="Score at most this many held-out rows.")]
Seed = Annotated[int, typer.Option(help="Of initialisation, shuffling and sampling.")]
Track = Annotated[
    Literal["tensorboard", "trackio"] | None,
    typer.Option(help="Also keep the curve for TensorBoard or Trackio, in --work."),
]


@train_app.command("member", epilog=examples("train member operator --data ../shared/data/house/operator"))
def train_member_command(
    name: Name,
    data: Data,
    seed: Seed = 0,
    sample: Sample = 200,
    work: Annotated[Path | None, typer.Option(help="Folder for checkpoints; a killed run goes on from it.")] = None,
    tracker: Track = None,
    personas: Personas = None,
) -> None:
    """Train a member's adapter on rows of text, check it, install it, and measure it against the base.

    How rows become requests and replies, and the recipe's few figures, are what its persona says of training.
    """
    from consilium.evaluation.results import RESULTS_FILE, write_training
    from consilium.evaluation.tasks import Tasks, learned
    from consilium.members.catalogue import Catalogue
    from consilium.training.data import training_of
    from consilium.training.installing import data_digest, install_adapter
    from consilium.training.rows import lessons, read_split

    settings, catalogue = opened(personas, untrained=name)
    member = catalogue.get(name)
    recipe = training_of(member)
    if name == catalogue.fallback:
        raise BadSettings(
            f"{name!r} is the fallback, which speaks without an adapter. Name another fallback in catalogue.toml."
        )
    split = read_split(data, recipe.rows)
    if split.overlapping:
        aside().print(f"{split.overlapping} held-out rows ask what another part asks too: they are left out")
    folder = work or TRAINING_FOLDER / name
    writable(catalogue.root / name / RESULTS_FILE)
    answers = writable(folder / "answers.jsonl")
    task = Tasks(catalogue.members.values(), [data], sample=sample, seed=seed).read(member, data)
    task.work.trivial(task.spoken)  # whether its rows can be scored is known before it is trained
    prompt = member.persona.system_prompt
    taught, chosen_by = lessons(prompt, learned(member, split)), lessons(prompt, split.dev)
    trained = _train(recipe, taught, chosen_by, settings, folder, seed, tracker)
    _check_gain(name, trained)
    adapter = install_adapter(trained.folder, catalogue.root, name)
    rows = {"train": trained.rows, "dev": len(split.dev), "test": len(split.test)}
    write_training(catalogue.root, name, _provenance(trained, rows, seed, data_digest([data])))
    aside().print(f"installed {name}@{adapter.pin.digest[:12]}, {adapter.bytes_on_disk / 1e6:.2f} MB")
    catalogue = Catalogue.load(settings.personas)
    measured = [replace(task, member=catalogue.get(name))]
    show(measure_members(settings, catalogue, measured, others=1, seed=seed, answers=answers, resume=True))


@train_app.command("multitask", epilog=examples("train multitask --data ../shared/data/house --rows 3000"))
def train_multitask_command(
    data: Annotated[list[Path], typer.Option(help="Folder with a folder for each member; may be repeated.")],
    members: Annotated[str, typer.Option(help="Names, separated by commas; else all whose rows are there.")] = "",
    rows: Annotated[int | None, typer.Option(min=1, help="Learn at most this many rows of each.")] = None,
    rank: Annotated[int | None, typer.Option(min=1, help="Rank of the adapter; else the sum of the members'.")] = None,
    epochs: Annotated[float, typer.Option(min=0.01, max=20, help="How often each row is learned.")] = 1.0,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-6, max=1, help="Of the first steps; else a member's, less at a higher rank.")
    ] = None,
    seed: Seed = 0,
    work: Annotated[Path, typer.Option(help="Folder for checkpoints and the adapter.")] = TRAINING_FOLDER / "multitask",
    tracker: Track = None,
    personas: Personas = None,
) -> None:
    """Train the control: one adapter of the members' total rank on the union of their rows, each with its own prompt.

    It joins no catalogue; `consilium eval members --multitask FOLDER`, the folder of --work, measures it beside them.
    """
    from consilium.evaluation.results import RESULTS_FILE, write_training
    from consilium.evaluation.tasks import Tasks, learned
    from consilium.members.persona import MAX_RANK, Recipe
    from consilium.training.data import data_of, training_of
    from consilium.training.installing import data_digest
    from consilium.training.rows import lessons

    settings, catalogue, chosen = chosen_members(members, data, personas)
    tasks = Tasks(catalogue.members.values(), data)
    splits = [(member, tasks.split(member)) for member in chosen]
    total = rank or sum(training_of(member).rank for member in chosen)
    if total > MAX_RANK:
        raise BadSettings(f"rank={total}: an adapter has at most {MAX_RANK}. Name fewer members, or a smaller --rank.")
    taught = [
        lesson
        for member, split in splits
        for lesson in lessons(member.persona.system_prompt, learned(member, split)[:rows])
    ]
    chosen_by = [lesson for member, split in splits for lesson in lessons(member.persona.system_prompt, split.dev)]
    recipe = Recipe(epochs=epochs).at_rank(total)
    if learning_rate is not None:
        recipe = recipe.model_copy(update={"learning_rate": learning_rate})
    writable(work / RESULTS_FILE)
    trained = _train(recipe, taught, chosen_by, settings, work, seed, tracker)
    _check_gain("multitask", trained)
    sizes = {"train": trained.rows, "dev": len(chosen_by), "members": len(chosen)}
    digest = data_digest([folder for member in chosen if (folder := data_of(member, data))])
    write_training(work.parent, work.name, {"rank": total, **_provenance(trained, sizes, seed, digest)})
    aside().print(f"{work}: rank {total}, {trained.rows:,} rows of {len(chosen)} members", markup=False)


def _train(
    recipe: "Recipe",
    taught: "Sequence[Lesson]",
    chosen_by: "Sequence[Lesson]",
    settings: "Settings",
    folder: Path,
    seed: int,
    tracker: "Tracker | None",
) -> "Trained":
    """Train with a bar."""
    from consilium.training.recipe import train_adapter

    base = base_of(settings)
    with bar_of("training") as bar:
        task = bar.add_task("", total=1.0)
        return train_adapter(
            recipe,
            taught,
            base,
            folder,
            dev=chosen_by,
            seed=seed,
            tracker=tracker,
            on_step=lambda step: _show_step(bar, task, step),
        )


def _show_step(bar: Progress, task: TaskID, step: "Step") -> None:
    dev = f"  dev {step.dev_loss:.3f}" if step.dev_loss is not None else ""
    figures = f"loss {step.loss:.3f}{dev}  {step.tokens / step.seconds:,.0f} tokens/s"
    bar.update(task, description=figures, completed=step.done, total=step.total)
    if not bar.console.is_terminal:  # a bar in a log file would only show at its end
        bar.console.print(f"step {step.done}/{step.total}  {figures}  {step.seconds:,.0f} s")


def _check_gain(name: str, trained: "Trained") -> None:
    """Raise `AdapterRefused` where the bare base does as well on the rows that were not learned from."""
    if trained.dev_loss is None or trained.base_dev_loss is None or trained.dev_loss < trained.base_dev_loss:
        return
    raise AdapterRefused(
        f"{name!r} was trained, but is no better than the bare base on its dev rows (loss {trained.dev_loss:.3f}, base "
        f"{trained.base_dev_loss:.3f}); {trained.folder} was not installed. Lower the learning rate, or give more rows."
    )


def _provenance(trained: "Trained", rows: dict[str, int], seed: int, digest: str) -> dict[str, Any]:
    from importlib.metadata import version

    return {
        "rows": rows,
        "data_sha256": digest,
        "steps": trained.steps,
        "seconds": round(trained.seconds, 1),
        "loss": round(trained.loss, 4),
        "dev_loss": {"base": trained.base_dev_loss, "member": trained.dev_loss},
        "seed": seed,
        "versions": {package: version(package) for package in ("torch", "transformers", "peft", "trl")},
        "command": command_line(),
    }
