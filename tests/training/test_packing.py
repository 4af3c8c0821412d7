"""Packed batches: the losses and gradients of a padded batch, for fewer tokens."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from consilium.training.packing import NOT_LEARNED, pack

TokenRow = dict[str, list[int]]


def row(prompt: Sequence[int], reply: Sequence[int]) -> TokenRow:
    return {"input_ids": [*prompt, *reply], "labels": [NOT_LEARNED] * len(prompt) + [*reply]}


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=64, num_key_value_heads=2, attn_implementation="eager", **sizes)
    return LlamaForCausalLM(config).double()


def learned(model: LlamaForCausalLM, batch: dict[str, torch.Tensor]) -> tuple[float, torch.Tensor]:
    """Return the loss of a batch, and its gradient for all parameters as one vector."""
    model.zero_grad()
    if batch["attention_mask"].is_floating_point():
        batch["attention_mask"] = batch["attention_mask"].double()
    loss = model(**batch).loss
    loss.backward()
    return float(loss.detach()), torch.cat([weight.grad.flatten() for weight in model.parameters()])


def padded(rows: Sequence[TokenRow]) -> dict[str, torch.Tensor]:
    def pad(lists: list[list[int]], filler: int) -> torch.Tensor:
        tensors = [torch.tensor(each) for each in lists]
        return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=filler)

    ids = [each["input_ids"] for each in rows]
    mask = pad([[1] * len(each) for each in ids], 0)
    labels = pad([each["labels"] for each in rows], NOT_LEARNED)
    return {"input_ids": pad(ids, 0), "attention_mask": mask, "labels": labels}


tokens = st.lists(st.integers(0, 63), min_size=1, max_size=9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 63), max_size=30), st.lists(st.tuples(tokens, tokens), min_size=1, max_size=8))
def test_the_loss_and_its_gradient_are_those_of_a_padded_batch(
    model: LlamaForCausalLM, beginning: list[int], parts: list[tuple[list[int], list[int]]]
) -> None:
    rows = [row(beginning + own, reply) for own, reply in parts]
    loss, gradient = learned(model, pack(rows))
    expected_loss, expected = learned(model, padded(rows))
    assert loss == pytest.approx(expected_loss, abs=1e-6)
    assert torch.allclose(gradient, expected, atol=1e-6)


def test_a_shared_beginning_is_laid_down_once() -> None:
    batch = pack([row([1] * 40 + [number, number], [7, 8]) for number in range(1, 9)])
    assert batch["input_ids"].shape == (1, 96)
    assert int((batch["input_ids"] != 0).sum()) == 40 + 8 * 4
    assert batch["position_ids"].max() == 43


def test_long_rows_get_sequences_of_their_own() -> None:
    batch = pack([row([1, 2, 3] + [number] * 600, [7]) for number in range(8)])
    assert batch["input_ids"].shape == (8, 608)


def test_rows_alike_keep_the_token_that_the_reply_is_predicted_by() -> None:
    batch = pack([row([1, 2, 3], [4]), row([1, 2, 3], [5])])
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 3, 5, *[0] * 26]]
    assert batch["labels"].tolist() == [[*[NOT_LEARNED] * 3, 4, NOT_LEARNED, 5, *[NOT_LEARNED] * 26]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 2, 3, *[0] * 26]]
