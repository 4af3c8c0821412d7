"""States that are kept: each message is read once, and what a killed fit had read is there when it starts again."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from consilium.members.base import Base
from consilium.routing.deep import StateEncoder
from consilium.routing.fitting import FitStep
from consilium.routing.states import KeptStates
from tests.support.tiny import write_tiny_base

ASKED = ("w1 w2", "w3", "w1 w2", "\ud800 w4")


class Counting(StateEncoder):
    """Counts what it reads."""

    read = 0

    def encode(self, messages: Sequence[str]) -> torch.Tensor:
        self.read += len(messages)
        return super().encode(messages)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return write_tiny_base(tmp_path_factory.mktemp("base"), num_hidden_layers=3)


def test_each_message_is_read_once_and_has_its_own_state(base: Base) -> None:
    encoder = Counting(base, 2)
    states = KeptStates(encoder, base.name, None)(ASKED)
    assert encoder.read == 3
    assert torch.allclose(states, StateEncoder(base, 2).encode(ASKED), atol=1e-5)


def test_what_was_read_before_is_not_read_again(base: Base, tmp_path: Path) -> None:
    steps: list[FitStep] = []
    first = KeptStates(Counting(base, 2), base.name, tmp_path)(ASKED)
    encoder = Counting(base, 2)
    read = KeptStates(encoder, base.name, tmp_path)
    assert torch.equal(read(ASKED), first)
    assert encoder.read == 0
    read(["w9", *ASKED], steps.append)
    assert encoder.read == 1
    assert [(step.done, step.total) for step in steps] == [(1, 1)]


def test_another_depth_or_base_reads_for_itself(base: Base, tmp_path: Path) -> None:
    KeptStates(Counting(base, 2), base.name, tmp_path)(ASKED)
    deeper, other = Counting(base, 3), Counting(base, 2)
    KeptStates(deeper, base.name, tmp_path)(ASKED)
    KeptStates(other, "another", tmp_path)(ASKED)
    assert (deeper.read, other.read) == (3, 3)
