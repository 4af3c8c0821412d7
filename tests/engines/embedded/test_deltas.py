"""The adapters of a batch's rows add what LoRA's equation says, in whatever slots and order they come."""

import pytest
import torch

from consilium.engines.embedded.deltas import GROUPS, BoundDeltas, Delta, Sizes

LAYERS = 2
GROUPED: Sizes = {
    "q_proj": (12, 16), "k_proj": (12, 8), "v_proj": (12, 8), "o_proj": (16, 12),
    "gate_proj": (12, 20), "up_proj": (12, 20), "down_proj": (20, 12),
}  # fmt: skip
EVEN: Sizes = {**GROUPED, "k_proj": (12, 16), "v_proj": (12, 16)}
"""Queries, keys and values have as many outputs, so that their B stand side by side."""


def some_delta(sizes: Sizes, rank: int, seed: int, *, names: tuple[str, ...] = tuple(GROUPED)) -> Delta:
    draw = torch.Generator().manual_seed(seed)
    return Delta(
        rank=rank,
        scale=1.0 + seed,
        a={name: torch.randn(LAYERS, rank, sizes[name][0], generator=draw) for name in names},
        b={name: torch.randn(LAYERS, rank, sizes[name][1], generator=draw) for name in names},
    )


def check(bound: BoundDeltas, sizes: Sizes, expected: list[Delta | None], first: int = 0) -> None:
    """Compare what the slots from ``first`` on add, in every layer and group, with scale B A x."""
    window = bound.window(slice(first, first + len(expected)))
    if window is None:
        assert not any(expected)
        return
    for layer in range(LAYERS):
        for number, group in enumerate(GROUPS):
            for tokens in (1, 5):
                x = torch.randn(len(expected), tokens, sizes[group[0]][0])
                y = torch.randn(len(expected), tokens, sum(sizes[name][1] for name in group))
                found = window.add(y.clone(), x, number, layer)
                for row, delta in enumerate(expected):
                    wanted = y[row] + torch.cat([added(delta, name, x[row], sizes, layer) for name in group], -1)
                    torch.testing.assert_close(found[row], wanted, rtol=1e-4, atol=1e-3)


def added(delta: Delta | None, name: str, x: torch.Tensor, sizes: Sizes, layer: int) -> torch.Tensor:
    if delta is None or name not in delta.a:
        return torch.zeros(x.shape[0], sizes[name][1])
    return delta.scale * (x @ delta.a[name][layer].T @ delta.b[name][layer])


@pytest.mark.parametrize("sizes", [GROUPED, EVEN], ids=["grouped", "even"])
def test_each_row_gets_its_own_adapter_and_nothing_else(sizes: Sizes) -> None:
    two, four = some_delta(sizes, 2, 1), some_delta(sizes, 4, 2, names=("k_proj", "up_proj"))
    eight = some_delta(sizes, 8, 3, names=("v_proj", "o_proj", "down_proj"))
    bound = BoundDeltas(LAYERS, sizes)
    rows: list[Delta | None] = []
    for delta in (two, None, four, eight, two):  # ranks rise while others are bound, and slots double
        bound.bind(len(rows), delta)
        rows.append(delta)
        check(bound, sizes, rows)
    bound.move(3, 0)
    check(bound, sizes, [eight, None, four, eight, two])
    for slot, delta in enumerate((four, eight, two, None)):  # lower ranks and fewer projections after higher and more
        bound.bind(slot, delta)
    check(bound, sizes, [four, eight, two, None, two])
    check(bound, sizes, [eight, two], first=1)


def test_a_window_that_was_used_before_knows_of_what_was_bound_since() -> None:
    one, other = some_delta(GROUPED, 4, 1), some_delta(GROUPED, 8, 2)
    bound = BoundDeltas(LAYERS, GROUPED)
    bound.bind(0, one)
    check(bound, GROUPED, [one])
    bound.bind(1, other)  # which takes new memory for all
    bound.bind(0, None)
    check(bound, GROUPED, [None, other])
    bound.move(1, 0)
    check(bound, GROUPED, [other, other])


def test_rows_of_the_bare_base_cost_nothing() -> None:
    bound = BoundDeltas(LAYERS, GROUPED)
    for slot, delta in enumerate((None, some_delta(GROUPED, 4, 1), None)):
        bound.bind(slot, delta)
    assert bound.window(slice(0, 1)) is None
    assert bound.window(slice(2, 3)) is None
    assert bound.window(slice(0, 2)) is not None
