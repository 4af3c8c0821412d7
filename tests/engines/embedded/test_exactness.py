"""The engine says what transformers and PEFT say."""

import pytest
import torch

from consilium.engines.embedded.model import Scored
from consilium.members.base import Base
from consilium.members.catalogue import Member
from consilium.testing.peft import peft_model, peft_name
from tests.support.tiny import WORDS, Speakers, some_ids, tiny_crew, tiny_member, write_tiny_base

CLOSE = 1e-4
"""Nats a token."""


def peft_log_probability(model: torch.nn.Module, member: Member, prompt: list[int], reply: list[int]) -> float:
    """Return the sum over the reply's tokens, in nats."""
    ids = torch.tensor([[*prompt, *reply]])
    with torch.inference_mode():
        logits = model(input_ids=ids, adapter_names=[peft_name(member)]).logits[0, len(prompt) - 1 : -1]
    return float(logits.log_softmax(-1).gather(-1, torch.tensor(reply)[:, None]).sum())


@pytest.mark.parametrize("published", [torch.float32, torch.bfloat16])
def test_greedy_tokens_are_those_of_pefts_mixed_batch(
    tmp_path_factory: pytest.TempPathFactory, published: torch.dtype
) -> None:
    base = write_tiny_base(tmp_path_factory.mktemp("bases") / "base", published=published)
    crew = tiny_crew(base)
    speakers, reference = Speakers(base), peft_model(base, crew)
    prompts = [some_ids(11, seed=seed) for seed in range(4 * len(crew))]
    members = crew * 4
    heard = [
        speakers.add(member, ids, min_tokens=12, max_tokens=12) for member, ids in zip(members, prompts, strict=True)
    ]
    speakers.finish()
    ids = torch.tensor(prompts)
    said = reference.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=12, max_new_tokens=12,
        adapter_names=[peft_name(member) for member in members],
    )  # fmt: skip
    assert [row.row.drawn for row in heard] == said[:, ids.shape[1] :].tolist()
    assert len({tuple(row.row.drawn) for row in heard}) == len(heard)


def test_likelihoods_are_pefts(tiny: Base, crew: list[Member]) -> None:
    speakers, reference = Speakers(tiny), peft_model(tiny, crew)
    prompt, other = some_ids(9), some_ids(5, seed=1)
    asked = [(member, ids, some_ids(6, seed=n)) for member in crew for ids in (prompt, other) for n in (2, 3)]
    found = speakers.model.likelihoods(
        [Scored(member=member, prompt=tuple(ids), reply=tuple(reply)) for member, ids, reply in asked]
    )
    for likelihood, (member, ids, reply) in zip(found, asked, strict=True):
        expected = peft_log_probability(reference, member, ids, reply)
        assert likelihood.log_probability == pytest.approx(expected, abs=CLOSE * len(reply))
        assert likelihood.tokens == len(reply)
    assert len({round(likelihood.log_probability, 2) for likelihood in found}) == len(asked)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_adapters_in_half_precision_are_scaled_in_float32(tiny: Base, dtype: torch.dtype) -> None:
    """A scale such as 7 / sqrt(3) times a number in half precision is no number in half precision."""
    member = tiny_member("mate", tiny, rank=3, alpha=7, rslora=True, dtype=dtype, spread=0.3)
    reference = peft_model(tiny, [member])
    prompt, reply = some_ids(9), list(range(6, WORDS, 20))
    (found,) = Speakers(tiny).model.likelihoods([Scored(member=member, prompt=tuple(prompt), reply=tuple(reply))])
    expected = peft_log_probability(reference, member, prompt, reply)
    assert found.log_probability == pytest.approx(expected, abs=CLOSE * len(reply))
