"""Where commands write: answers to stdout, all else to stderr."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from consilium.members.base import Progress as Report


def out() -> Console:
    """Return the console for answers."""
    return Console(highlight=False, soft_wrap=True)


def aside() -> Console:
    """Return the console for progress and errors."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def provisioning() -> "Iterator[Report]":
    """Show a bar while the base model is provisioned; nothing where it is there already."""
    bar = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=aside(), transient=True)
    task = bar.add_task("", total=1.0)

    def report(doing: str, share: float) -> None:
        bar.start()
        bar.update(task, description=doing, completed=share)

    try:
        yield report
    finally:
        if bar.live.is_started:
            bar.stop()
