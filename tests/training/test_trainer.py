"""The trainer: the model's own loss, from fewer logits, and batches of rows that begin alike."""

from collections import Counter

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from trl.trainer.sft_trainer import SFTTrainer

from consilium.training.packing import NOT_LEARNED, pack
from consilium.training.trainer import TOKENS_AT_ONCE, ByPrompt, Trainer

PROMPTS = [f"You are number {number % 3}." for number in range(100)]
LENGTHS = [(7 * number) % 31 for number in range(100)]


def small_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(vocab_size=64, attn_implementation="eager", **sizes))


def test_the_loss_and_its_gradient_are_those_of_the_whole_models_logits() -> None:
    model = small_model()
    seen: list[torch.Size] = []
    model.lm_head.register_forward_hook(lambda _head, _hidden, logits: seen.append(logits.shape))
    rows = [
        {"input_ids": [1, 2, 3, own, *reply], "labels": [NOT_LEARNED] * 4 + reply}
        for own, reply in ((4, [5, 6]), (7, [8]), (9, [10, 11, 12]))
    ]
    batch, weights = pack(rows), [*model.parameters()]
    wanted = model(**batch).loss
    found = Trainer.compute_loss(object.__new__(Trainer), model, batch)
    halved = Trainer.compute_loss(object.__new__(Trainer), model, batch, num_items_in_batch=torch.tensor(12))
    assert seen[1:] == [(1, 6, 64)] * 2
    assert found.item() == pytest.approx(wanted.item(), abs=1e-5)
    assert halved.item() == pytest.approx(wanted.item() / 2, abs=1e-5)
    for one, other in zip(torch.autograd.grad(found, weights), torch.autograd.grad(wanted, weights), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_tokens_loss_counts_by_its_weight_while_it_is_learned() -> None:
    trainer, model, weights = object.__new__(Trainer), small_model(), torch.ones(64)
    weights[6] = 3.0
    trainer.weights = weights
    batch = pack([{"input_ids": [4, 5, 6], "labels": [NOT_LEARNED, 5, 6]}])
    of_5, of_6 = (-model(**batch).logits[0, place].log_softmax(-1)[place + 5].item() for place in (0, 1))
    assert trainer.compute_loss(model, batch).item() == pytest.approx((of_5 + 3 * of_6) / 2, abs=1e-5)
    model.eval()
    assert trainer.compute_loss(model, batch).item() == pytest.approx((of_5 + of_6) / 2, abs=1e-5)


@pytest.mark.parametrize("count", [None, 12])
def test_gradients_of_a_batch_are_the_same_a_few_sequences_at_a_time(
    monkeypatch: pytest.MonkeyPatch, count: int | None
) -> None:
    def step(trainer: Trainer, model: torch.nn.Module, inputs: dict[str, torch.Tensor], count: int) -> torch.Tensor:
        parts.append(len(inputs["input_ids"]))
        loss = trainer.compute_loss(model, inputs, num_items_in_batch=count)
        loss.backward()
        return loss.detach()

    monkeypatch.setattr(SFTTrainer, "training_step", step)
    model, parts, found = small_model(), list[int](), []
    rows = [
        {"input_ids": [own] * 999 + reply, "labels": [NOT_LEARNED] * 999 + reply}
        for own, reply in ((4, [5, 6]), (7, [8]), (9, [10, 11, 12]))
    ]
    for at_once in (10_000, TOKENS_AT_ONCE):
        monkeypatch.setattr("consilium.training.trainer.TOKENS_AT_ONCE", at_once)
        model.zero_grad()
        loss = Trainer.training_step(object.__new__(Trainer), model, pack(rows), count)
        found.append((loss.item(), torch.cat([weight.grad.flatten() for weight in model.parameters()])))
    assert parts == [3, 2, 1]
    (whole, expected), (split, gradient) = found
    assert split == pytest.approx(whole, abs=1e-5)
    assert torch.allclose(gradient, expected, atol=1e-5)


def batches(sampler: ByPrompt) -> list[list[int]]:
    order = [*sampler]
    return [order[start : start + 8] for start in range(0, len(order), 8)]


def test_every_row_is_drawn_once_and_full_batches_begin_alike() -> None:
    found = batches(ByPrompt(PROMPTS, LENGTHS, 8, seed=0))
    assert Counter(row for batch in found for row in batch) == Counter(range(100))
    # Of 34, 33 and 33 rows, 2, 1 and 1 are left over: half a batch, at the end.
    assert [len({PROMPTS[row] for row in batch}) for batch in found] == [1] * 12 + [3]


def test_rows_of_a_batch_are_about_as_long() -> None:
    spread = [
        max(lengths) - min(lengths) for lengths in ([LENGTHS[row] for row in batch] for batch in batches(drawn(0)))
    ]
    assert max(spread[:-1]) <= 12 < max(LENGTHS) - min(LENGTHS)


def test_batches_are_in_another_order_with_another_seed_and_in_each_epoch() -> None:
    sampler = drawn(0)
    first, again = [*sampler], [*sampler]
    sampler.set_epoch(1)
    assert first == again == [*drawn(0)]
    assert first not in ([*sampler], [*drawn(1)])
    prompts = [PROMPTS[batch[0]] for batch in batches(drawn(0))[:-1]]
    assert prompts != sorted(prompts)


def drawn(seed: int) -> ByPrompt:
    return ByPrompt(PROMPTS, LENGTHS, 8, seed=seed)
