"""consilium train member: make an adapter."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress, TaskID

from consilium.cli.consoles import aside
from consilium.cli.evaluating import bar_of, base_of, command_line, measure_members, opened, show
from consilium.cli.options import Personas, examples
from consilium.errors import AdapterRefused

if TYPE_CHECKING:
    from consilium.training.recipe import Step, Trained
    from consilium.training.rows import Split

train_app = typer.Typer(help="Train members.", no_args_is_help=True)

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
    from consilium.evaluation.results import write_training
    from consilium.evaluation.tasks import Tasks, training_of
    from consilium.members.catalogue import Catalogue
    from consilium.training.installing import data_digest, install_adapter
    from consilium.training.recipe import train_member
    from consilium.training.rows import read_split

    settings, catalogue, member = opened(name, personas)
    split = read_split(data, training_of(member).rows)
    if split.overlapping:
        aside().print(f"{split.overlapping} held-out rows ask what another part asks too: they are left out")
    folder = work or Path("storage") / "training" / name
    base = base_of(settings)
    with bar_of("training") as bar:
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
    write_training(catalogue.root, name, _provenance(trained, split, seed, data_digest(data)))
    aside().print(f"installed {name}@{adapter.pin.digest[:12]}, {adapter.bytes_on_disk / 1e6:.2f} MB")
    catalogue = Catalogue.load(settings.personas)
    tasks = Tasks(catalogue.members.values(), [data], sample=sample, seed=seed)
    answers = folder / "answers.jsonl"
    measured = [tasks.read(catalogue.get(name), data)]
    show(measure_members(settings, catalogue, measured, others=1, seed=seed, answers=answers, resume=False))


def _show_step(bar: Progress, task: TaskID, step: "Step") -> None:
    losses = f"loss {step.loss:.3f}" + (f"  dev {step.dev_loss:.3f}" if step.dev_loss is not None else "")
    bar.update(task, description=losses, completed=step.done, total=step.total)
    if not bar.console.is_terminal:  # a bar in a log file would only show at its end
        bar.console.print(f"step {step.done}/{step.total}  {losses}  {step.seconds:,.0f} s")


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
        "command": command_line(),
    }
