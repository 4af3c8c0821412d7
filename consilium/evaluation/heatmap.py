"""The matrix as a picture: how much each member loses at each kind of work."""

from pathlib import Path

from consilium.evaluation.matrix import Matrix
from consilium.evaluation.members_page import columns
from consilium.evaluation.pictures import empty, save


def draw_heatmap(matrix: Matrix, file: Path) -> None:
    """Draw each task's losses, less the lowest of them, as an SVG or whatever ``file`` ends in.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    arms = columns(matrix)
    losses = [[matrix.cells[task.name, arm].loss for arm in arms] for task in matrix.tasks]
    above = [[loss - min(row) for loss in row] for row in losses]
    figure = empty(2.2 + 0.62 * len(arms), 1.6 + 0.42 * len(matrix.tasks))
    axes = figure.add_subplot()
    image = axes.imshow(above, cmap="viridis_r", vmin=0, vmax=2, aspect="auto")
    axes.set_xticks(range(len(arms)), arms, rotation=45, ha="right")
    axes.set_yticks(range(len(matrix.tasks)), [task.name for task in matrix.tasks])
    axes.set_xlabel("who is asked")
    axes.set_ylabel("whose work it is")
    for y, row in enumerate(losses):
        for x, loss in enumerate(row):
            dark = above[y][x] > 1.0
            axes.text(x, y, f"{loss:.2f}", ha="center", va="center", fontsize=7, color="white" if dark else "black")
    figure.colorbar(image, label="nats a token above the best")
    save(figure, file)
