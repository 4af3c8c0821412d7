"""States midway: those of transformers' own model, whatever is read beside them."""

from random import Random

import pytest
import torch

from consilium.engines.embedded import side_by_side
from consilium.engines.embedded.states import StateReader
from consilium.errors import BadSettings
from consilium.members.base import Base
from tests.support.tiny import WORDS, tiny_model_of, write_tiny_base


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return write_tiny_base(tmp_path_factory.mktemp("base"), num_hidden_layers=4)


def some_rows(lengths: list[int]) -> list[list[int]]:
    chance = Random(1)
    return [[chance.randrange(WORDS) for _ in range(length)] for length in lengths]


@pytest.mark.parametrize("depth", [1, 3])
def test_states_are_those_of_transformers(base: Base, depth: int) -> None:
    rows = some_rows([5, 1, 9, 5, 3])
    with torch.inference_mode():
        model = tiny_model_of(base)
        hidden = [model(torch.tensor([row]), output_hidden_states=True).hidden_states[depth][0] for row in rows]
    for tail in (0, 2):
        expected = [torch.stack([each[-1], each[: max(1, len(each) - tail)].mean(0)]) for each in hidden]
        assert torch.allclose(StateReader(base, depth, tail=tail).read(rows), torch.stack(expected), atol=1e-4)


def test_a_row_sees_nothing_of_the_others(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, reader = some_rows([30, 2, 17, 17, 8, 1, 40, 3]), StateReader(base, 2)
    alone = torch.cat([reader.read([row]) for row in rows])
    assert torch.allclose(reader.read(rows), alone, atol=1e-5)
    monkeypatch.setattr(side_by_side, "READ_TOKENS", 64)
    assert torch.allclose(reader.read(rows), alone, atol=1e-5)


def test_a_prefix_is_read_once_and_counts_as_if_it_stood_in_every_row(base: Base) -> None:
    rows, prefix = some_rows([5, 1, 9]), some_rows([7])[0]
    found = StateReader(base, 2, prefix).read(rows)
    plain = StateReader(base, 2)
    for row, (last, mean) in zip(rows, found, strict=True):
        whole = plain.read([[*prefix, *row[: end + 1]] for end in range(len(row))])[:, 0]
        assert torch.allclose(last, whole[-1], atol=1e-5)
        assert torch.allclose(mean, whole.mean(0), atol=1e-5)


@pytest.mark.parametrize("depth", [0, 5])
def test_a_depth_that_the_base_has_not_is_refused(base: Base, depth: int) -> None:
    with pytest.raises(BadSettings, match=f"depth={depth}: .* has 4 layers"):
        StateReader(base, depth)
