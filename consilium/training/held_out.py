"""What nothing is fitted on: a third of the sources, and of the kinds of open work, which are tried instead."""

import re
from collections.abc import Iterable
from random import Random

OPEN_P3 = (
    "adversarial_qa",
    "cosmos_qa",
    "duorc",
    "kilt",
    "quarel",
    "quartz",
    "quoref",
    "ropes",
    "wiki_bio",
    "wiki_hop",
)
"""Sets of P3 whose templates ask for nothing that a member was trained for: questions about a passage, or the world."""


def riddle_of(task: str) -> str:
    """Return what kind of riddle a task of BBH is: some differ in nothing but how many objects there are.

    >>> riddle_of("tracking_shuffled_objects_five_objects")
    'tracking_shuffled_objects'
    """
    return re.sub(r"_(three|five|seven)_objects$", "", task)


def held_out(names: Iterable[str]) -> frozenset[str]:
    """Return the third of the names that nothing is fitted on, drawn once for all."""
    ordered = sorted(names)
    return frozenset(Random(0).sample(ordered, round(len(ordered) / 3)))
