"""Routers to be tried side by side: the baselines, fitted on the same rows as each other, and those that were made."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from consilium.members.base import Base
from consilium.members.catalogue import Catalogue
from consilium.routing import baselines
from consilium.routing.centroid import CentroidRouter
from consilium.routing.classifier import Classifier, ClassifierRouter, Example
from consilium.routing.hierarchical import HierarchicalRouter
from consilium.routing.protocol import Router
from consilium.routing.requests import Requests
from consilium.routing.router_file import RouterTensors, read_router
from consilium.routing.sentence import RememberingEncoder

if TYPE_CHECKING:
    from consilium.routing.cascade import Read

SENTENCE_ROWS = 400
"""Examples of each member that the sentence encoder's baselines are fitted on; each takes it milliseconds."""

Contestants: TypeAlias = Mapping[str, Callable[[], Router]]
"""By name, how to make a router; making one may take a minute."""


def contestants(
    catalogue: Catalogue,
    requests: Requests,
    base: Base,
    fitted: Mapping[str, Path],
    *,
    read: "Callable[[RouterTensors], Read] | None" = None,
    seed: int = 0,
) -> Contestants:
    """Return how to make each router.

    Args:
        catalogue: the members that may sit.
        requests: to fit the baselines on; the oracle is told the answers to those to try.
        base: what the centroid and the fitted ones read with.
        fitted: files of fitted routers, by the name that tables give them; each also decides by one stage alone, but in
            a conversation, where both are always asked.
        read: returns what reads for a fitted one: its stages have much to read in common.
        seed: of what is drawn.
    """
    right = {each.message: each.member for trial in requests.trials.values() for each in trial}
    few = _few(requests.fit, seed)

    encoder = cache(RememberingEncoder)
    classifiers: dict[str, Callable[[], Classifier]] = {
        "chance": lambda: baselines.chance(catalogue, seed),
        "keywords": lambda: baselines.keywords(catalogue),
        "naive Bayes": lambda: baselines.naive_bayes(requests.fit),
        "tf-idf": lambda: baselines.tfidf(requests.fit),
        "MiniLM centroid": lambda: baselines.sentence_centroid(few, encoder()),
        "MiniLM kNN": lambda: baselines.sentence_neighbours(few, encoder()),
        "MiniLM logistic": lambda: baselines.sentence_logistic(few, encoder()),
        "oracle": lambda: baselines.oracle(right, catalogue),
    }

    def classifying(make: Callable[[], Classifier]) -> Router:
        return ClassifierRouter(make(), catalogue)

    def reading(file: Path, **changed: object) -> Router:
        found = read_router(file)
        card = found.card.model_copy(update=changed)
        shared = read(found) if read else None
        return HierarchicalRouter(found.model_copy(update={"card": card}), base, catalogue, read=shared)

    made: dict[str, Callable[[], Router]] = {name: partial(classifying, make) for name, make in classifiers.items()}
    made["centroid"] = lambda: CentroidRouter(base, catalogue)
    for name, file in fitted.items():
        made[name] = partial(reading, file)
        fast, deep = stages_of(name)
        made[fast] = partial(reading, file, certain=0.0)
        made[deep] = partial(reading, file, certain=2.0, shares=(0.0, 1.0))
    return made


def stages_of(name: str) -> tuple[str, str]:
    """Return the names of a fitted router's stages where each decides alone, the fast and the deep one."""
    return f"{name} (fast)", f"{name} (deep)"


def _few(fit: Sequence[Example], seed: int) -> list[Example]:
    """Return at most `SENTENCE_ROWS` examples of each member."""
    by_member: dict[str, list[Example]] = {}
    for each in Random(seed).sample(fit, len(fit)):
        by_member.setdefault(each.member, []).append(each)
    return [each for part in by_member.values() for each in part[:SENTENCE_ROWS]]
