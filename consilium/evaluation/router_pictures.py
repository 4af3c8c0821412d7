"""Routers as pictures: who is thought of for what, and how sure is right how often."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from consilium.errors import MissingExtra
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


def draw_map(points: NDArray[np.float32], of: Sequence[str], keys: NDArray[np.float32], file: Path) -> None:
    """Draw requests and members in two dimensions, by t-SNE (van der Maaten and Hinton 2008), the same each time.

    Args:
        points: requests in the router's space, [requests, directions].
        of: the right member of each request.
        keys: of the members in the order in which ``of`` first names them, [members, directions].
        file: the picture.

    Raises:
        MissingExtra: matplotlib or scikit-learn is not installed.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise MissingExtra("the map needs scikit-learn: pip install 'consilium[eval]'") from error
    members = list(dict.fromkeys(of))
    everything = np.concatenate([points, keys])
    flat = TSNE(random_state=0, perplexity=min(30, len(everything) / 4), init="pca").fit_transform(everything)
    figure = empty(7.2, 5.4)
    axes = figure.add_subplot()
    colours = _colours(len(members))
    for number, name in enumerate(members):
        own = flat[: len(points)][np.array(of) == name]
        axes.scatter(own[:, 0], own[:, 1], s=7, color=colours[number], alpha=0.6, linewidths=0)
        x, y = flat[len(points) + number]
        axes.scatter(x, y, s=90, color=colours[number], edgecolors="black", label=name)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    save(figure, file)


def _colours(count: int) -> list[tuple[float, ...]]:
    """Return so many colours that can be told apart."""
    from matplotlib import colormaps

    shades = colormaps["tab20"]
    return [shades(number % 20) for number in range(count)]


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
