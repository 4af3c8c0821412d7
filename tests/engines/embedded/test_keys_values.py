"""Slots hold what was written to them, however the room grows and shrinks around them."""

import pytest
import torch

from consilium.engines.embedded.keys_values import GROWTH_TOKENS, KeysValues

LAYERS, HEADS, SIZE = 2, 3, 4


def some_kv(tokens: int, seed: int) -> torch.Tensor:
    return torch.randn(LAYERS, 2, HEADS, tokens, SIZE, generator=torch.Generator().manual_seed(seed))


def filled(slots: int, tokens: int, *, most: int) -> KeysValues:
    kv = KeysValues(LAYERS, HEADS, SIZE)
    kv.reserve(slots, tokens, used=0, most=most)
    for slot in range(slots):
        kv.write(slot, some_kv(tokens, slot), tokens)
    return kv


def test_there_is_room_for_what_was_asked_and_some_more() -> None:
    kv = filled(3, 10, most=100_000)
    assert (kv.slots, kv.tokens) == (3, GROWTH_TOKENS)
    kv.reserve(4, GROWTH_TOKENS + 1, used=3, most=100_000)
    assert (kv.slots, kv.tokens) == (6, 2 * GROWTH_TOKENS)
    before = kv.room
    kv.reserve(6, 2 * GROWTH_TOKENS, used=3, most=1)
    assert kv.room == before


@pytest.mark.parametrize(("slots", "tokens"), [(5, 10), (3, 400), (2, 900), (8, 300), (1, 5_000)])
def test_growing_leaves_rows_where_they_are(slots: int, tokens: int) -> None:
    kv = filled(3, 10, most=3_000)
    used = min(3, slots)
    kv.reserve(slots, tokens, used=used, most=3_000)
    assert kv.slots >= slots
    assert kv.tokens >= tokens
    assert kv.room <= max(3_000, slots * tokens)
    for slot in range(used):
        assert torch.equal(kv.read(slot, 10), some_kv(10, slot))


def test_what_is_not_used_is_given_up_where_the_bound_asks_for_it() -> None:
    kv = filled(8, 100, most=8 * GROWTH_TOKENS)
    kv.reserve(2, 900, used=1, most=8 * GROWTH_TOKENS)
    assert (kv.slots, kv.tokens) == (2, 4 * GROWTH_TOKENS)
    assert torch.equal(kv.read(0, 100), some_kv(100, 0))
    kv.reserve(8, 100, used=1, most=8 * GROWTH_TOKENS)
    assert (kv.slots, kv.tokens) == (8, GROWTH_TOKENS)
    assert torch.equal(kv.read(0, 100), some_kv(100, 0))


def test_a_move_copies_the_first_tokens_alone() -> None:
    kv = filled(2, 10, most=10_000)
    kv.move(1, 0, 6)
    assert torch.equal(kv.read(0, 10)[..., :6, :], some_kv(10, 1)[..., :6, :])
    assert torch.equal(kv.read(0, 10)[..., 6:, :], some_kv(10, 0)[..., 6:, :])


def test_what_was_read_is_a_copy() -> None:
    kv = filled(2, 10, most=10_000)
    kept = kv.read(0, 10)
    kv.clear(0, 10)
    assert torch.equal(kept, some_kv(10, 0))
    assert not kv.read(0, 10).any()
    assert torch.equal(kv.read(1, 10), some_kv(10, 1))


def test_queries_reach_the_tokens_before_them_and_no_others() -> None:
    """Two rows of different lengths in slots that hold another row's leftovers behind them."""
    generator = torch.Generator().manual_seed(1)
    kv = filled(2, 30, most=10_000)
    positions = torch.tensor([[4, 5, 6], [11, 12, 13]])
    queries, keys, values = (torch.randn(2, 3, heads, SIZE, generator=generator) for heads in (6, HEADS, HEADS))
    found = kv.window(slice(0, 2), positions).attend(1, queries, keys, values)
    for row in range(2):
        for token in range(3):
            reached = int(positions[row, token]) + 1
            past_keys, past_values = kv.read(row, reached)[1]
            for head in range(6):
                weights = (past_keys[head // 2] @ queries[row, token, head] / SIZE**0.5).softmax(0)
                own = found[row, token].view(6, SIZE)[head]
                torch.testing.assert_close(own, weights @ past_values[head // 2])
