"""Routers as pictures: who is thought of for what, and how sure is right how often."""

from collections.abc import Mapping
from pathlib import Path

from consilium.evaluation.pictures import empty, save
from consilium.evaluation.routed import Routed, usage


def draw_usage(parts: Mapping[str, Routed], file: Path) -> None:
    """Draw the mean score of each member for each kind of request. Raises `MissingExtra` without matplotlib."""
    members = next(iter(parts.values())).members
    means = usage(parts)
    figure = empty(2.4 + 0.5 * len(members), 1.4 + 0.34 * len(parts))
    axes = figure.add_subplot()
    image = axes.imshow(means, cmap="viridis_r", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(members)), list(members), rotation=45, ha="right")
    axes.set_yticks(range(len(parts)), list(parts))
    axes.set_xlabel("member")
    axes.set_ylabel("kind of request")
    figure.colorbar(image, label="mean score")
    save(figure, file)


def draw_reliability(routers: Mapping[str, Routed], file: Path) -> None:
    """Draw how often each router is right against how sure it is. Raises `MissingExtra` without matplotlib."""
    figure = empty(4.6, 4.2)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for name, routed in routers.items():
        points = routed.reliability()
        axes.plot(
            [sure for sure, _, _ in points], [right for _, right, _ in points], marker="o", markersize=3, label=name
        )
    axes.set_xlabel("certainty of the first member")
    axes.set_ylabel("share that is right")
    axes.legend(fontsize=7)
    save(figure, file)
