"""Drawing the examples to fit on, as many of each as can be had, and weighing those that are drawn unevenly."""

from collections.abc import Sequence

import pytest
import torch

from consilium.routing.classifier import Example
from consilium.routing.drawing import MOST, Labelled, balanced, balancing, once

ALIKE = [""] * 1_000


def some(labels: torch.Tensor, sources: Sequence[str]) -> Labelled:
    """Return examples, each with a message of its own."""
    examples = [Example(message=f"w{place}", member="", source=source) for place, source in enumerate(sources)]
    return Labelled(examples=examples, targets=torch.eye(int(labels.max()) + 1)[labels])


def test_a_balanced_draw_takes_as_many_of_each_and_all_of_the_rare() -> None:
    labels = torch.tensor([0] * 500 + [1] * 100 + [2] * 7)
    drawn = balanced(labels, ALIKE[:607], 57, seed=3)
    assert len(set(drawn.tolist())) == 57
    assert torch.bincount(labels[drawn]).tolist() == [25, 25, 7]
    assert not torch.equal(drawn, balanced(labels, ALIKE[:607], 57, seed=4))
    assert sorted(balanced(labels, ALIKE[:607], 10**6).tolist()) == list(range(607))


def test_what_is_drawn_of_a_member_does_not_hang_on_the_others() -> None:
    few, many = torch.tensor([0] * 90 + [1] * 90), torch.tensor([0] * 90 + [1] * 90 + [2] * 400)
    first, again = (
        set(balanced(labels, ALIKE[: len(labels)], 30 * kinds).tolist()) for labels, kinds in ((few, 2), (many, 3))
    )
    assert first == {place for place in again if place < 180}


def test_what_is_drawn_of_a_member_is_drawn_from_each_source_alike() -> None:
    labels, sources = torch.tensor([0] * 400 + [1] * 100), ["a"] * 350 + ["b"] * 45 + ["c"] * 5 + ["a"] * 100
    drawn = balanced(labels, sources, 120)
    taken = [sources[place] for place in drawn.tolist() if place < 400]
    assert [taken.count(name) for name in "abc"] == [28, 27, 5]


def test_half_of_what_is_drawn_of_a_member_are_its_own_rows() -> None:
    labels, sources = torch.tensor([0] * 400 + [1] * 100), [""] * 200 + ["a"] * 150 + ["b"] * 50 + [""] * 100
    taken = [sources[place] for place in balanced(labels, sources, 120).tolist() if place < 400]
    assert [taken.count(name) for name in ("", "a", "b")] == [30, 15, 15]


def test_each_member_counts_as_another_and_its_own_rows_as_all_others_of_it() -> None:
    labels = torch.tensor([0] * 60 + [1] * 40)
    sources = [""] * 40 + ["far"] * 9 + ["near"] * 11 + [""] * 40
    weights = balancing(some(labels, sources))
    parts = [float(part.sum()) for part in torch.split(weights, [40, 9, 11, 40])]
    assert parts == pytest.approx([25.0, 12.5, 12.5, 50.0])


def test_a_rare_source_counts_no_more_than_so_much() -> None:
    weights = balancing(some(torch.tensor([0] * 1_000 + [1] * 1_000), ["call", *[""] * 999, *["near"] * 1_000]))
    assert float(weights[0]) == float(weights.max()) == MOST
    assert weights[1:].mean() == pytest.approx(0.75, abs=0.01)


def test_each_message_is_taken_once_however_often_it_is_there() -> None:
    part = some(torch.tensor([0, 1, 1]), ["", "near", ""])
    twice = part.at(torch.tensor([0, 1, 2, 1, 0]))
    assert once(twice).messages == part.messages
