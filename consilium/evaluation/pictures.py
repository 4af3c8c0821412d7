"""Empty pictures to draw on, with or without a screen."""

from pathlib import Path
from typing import TYPE_CHECKING

from consilium.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    """Write a picture as SVG, or whatever ``file`` ends in; the same drawing makes the same file."""
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
