"""Empty pictures to draw on, with or without a screen."""

from pathlib import Path
from typing import TYPE_CHECKING

from consilium.errors import BadSettings, MissingExtra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")
"""What a picture's name may end in."""


def empty(width: float, height: float) -> "Figure":
    """Return a picture of that size, in inches. Raises `MissingExtra` where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("pictures need matplotlib: pip install 'consilium[plots]'") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: "Figure", file: Path) -> None:
    """Write a picture as what ``file`` ends in, one of `FORMATS`; the same drawing makes the same file.

    Raises `BadSettings` where it ends otherwise, or cannot be written.
    """
    check_format(file)
    try:
        figure.savefig(file, metadata={"Date": None} if file.suffix.lower() == ".svg" else None)
    except OSError as error:
        raise BadSettings(f"{file} cannot be written: {error.strerror or error}. Name another place.") from error


def check_format(file: Path) -> None:
    """Raise `BadSettings` unless the file's name ends in one of `FORMATS`."""
    if file.suffix.lower() not in FORMATS:
        raise BadSettings(f"picture={str(file)!r} ends in {file.suffix!r}. Name a file in {' or '.join(FORMATS)}.")
