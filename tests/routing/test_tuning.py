"""Tuning the deep stage's encoder: what it learns, and that it reads alike wherever it is used."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from consilium.engines.embedded.deltas import Delta
from consilium.errors import BadSettings
from consilium.members.base import Base
from consilium.routing import tuning
from consilium.routing.cascade import Cascade
from consilium.routing.deep import DeepPath, StateEncoder
from consilium.routing.drawing import Labelled
from consilium.routing.fitting import FitSettings, FitStep
from consilium.routing.making import make_router
from consilium.routing.router_file import RouterTensors, read_router, write_router
from consilium.routing.states import KeptStates
from consilium.routing.tuning import digest_of, from_tensors, tensors_of, tune
from tests.support.routers import DEV, EXAMPLES, GROUP_OF, SETTINGS, asked
from tests.support.tiny import write_tiny_base

DEPTH = 4
TUNING = FitSettings(depth=DEPTH, tuning_rate=3e-3)
MESSAGES = [each.message for each in EXAMPLES]
LABELS = torch.tensor([list(GROUP_OF).index(each.member) for each in EXAMPLES])
TARGETS = torch.eye(len(GROUP_OF))[LABELS]
KNOWN = Labelled(examples=EXAMPLES * 4, targets=TARGETS.repeat(4, 1))
ALIKE = torch.ones(len(KNOWN.examples))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return write_tiny_base(tmp_path_factory.mktemp("base"), num_hidden_layers=5)


@pytest.fixture(scope="module")
def bare(base: Base) -> StateEncoder:
    return StateEncoder(base, DEPTH)


@pytest.fixture(scope="module")
def deep(bare: StateEncoder) -> DeepPath:
    """Fitted on so few requests that it is not sure of the others."""
    few = slice(None, None, 5)
    return DeepPath.fit(bare.encode(MESSAGES[few]), TARGETS[few], directions=6)


@pytest.fixture(scope="module")
def adapter(base: Base, bare: StateEncoder, deep: DeepPath) -> Delta:
    return tune(base, bare, deep, KNOWN, ALIKE, TUNING)


def drawn_at_random(base: Base, bare: StateEncoder) -> torch.nn.Module:
    model: torch.nn.Module = tuning._adapted(base, bare.depth)
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora" in name:
            torch.nn.init.normal_(parameter, std=0.2)
            parameter.data = parameter.data.bfloat16().float()
    return model


def loss(deep: DeepPath, encoder: StateEncoder, messages: list[str], labels: torch.Tensor) -> float:
    return float(torch.nn.functional.cross_entropy(deep.logits(encoder.encode(messages)), labels))


def test_requests_that_were_not_tuned_by_are_found_more_surely(
    base: Base, bare: StateEncoder, deep: DeepPath, adapter: Delta
) -> None:
    tuned = StateEncoder(base, DEPTH, adapter)
    messages = [asked(name, number) for name in GROUP_OF for number in range(60, 90)]
    labels = torch.arange(len(GROUP_OF)).repeat_interleave(30)
    assert loss(deep, tuned, messages, labels) < 0.5 * loss(deep, bare, messages, labels)


def test_what_is_tuned_is_read_alike_while_it_is_tuned_and_afterwards(base: Base, bare: StateEncoder) -> None:
    model = drawn_at_random(base, bare)
    messages = ["w30", "w31 w20 w40 w41 w42 w43 w44 w45", "w32 w21"]
    with torch.inference_mode():
        while_tuned = tuning._states(model, bare, bare.rows(messages))
    afterwards = StateEncoder(base, DEPTH, tuning._taken_out(model, DEPTH)).encode(messages)
    assert torch.allclose(while_tuned, afterwards, atol=0.02 * float(afterwards.abs().max()))
    assert not torch.allclose(bare.encode(messages), afterwards, atol=0.1 * float(afterwards.abs().max()))


def test_the_same_seed_tunes_alike_and_progress_is_told(base: Base, bare: StateEncoder, deep: DeepPath) -> None:
    told: list[FitStep] = []
    first = tune(base, bare, deep, KNOWN, ALIKE, TUNING, seed=1, on_step=told.append)
    again, other = (tune(base, bare, deep, KNOWN, ALIKE, TUNING, seed=seed) for seed in (1, 2))
    assert digest_of(first) == digest_of(again) != digest_of(other)
    assert told[-1].done == told[-1].total == -(-len(KNOWN.examples) // tuning.BATCH)


def test_what_counts_for_nothing_is_not_learned(base: Base, bare: StateEncoder, deep: DeepPath) -> None:
    found = tune(base, bare, deep, KNOWN, 0 * ALIKE, TUNING)
    assert not any(bool(matrix.any()) for matrix in found.b.values())


def test_the_first_layers_are_left_as_they_are(adapter: Delta) -> None:
    for matrix in (*adapter.a.values(), *adapter.b.values()):
        assert [bool(layer.any()) for layer in matrix] == [False, True, True, True]


def test_long_requests_are_tuned_by_their_ends_and_batches_stay_small() -> None:
    row = list(range(5 * tuning.MOST_TOKENS))
    cut = tuning._cut(row)
    assert len(cut) == tuning.MOST_TOKENS
    assert (cut[0], cut[-1]) == (row[0], row[-1])
    rows = [[0] * length for length in (3, 70, 160, 9, 1) * 20]
    batches = list(tuning._batches(rows))
    assert sorted(place for batch in batches for place in batch.tolist()) == list(range(100))
    sizes = [len(batch) * max(len(rows[place]) for place in batch.tolist()) for batch in batches]
    assert max(sizes) <= tuning.BATCH_TOKENS
    assert max(map(len, batches)) == tuning.BATCH


def test_an_adapter_survives_its_file(adapter: Delta) -> None:
    kept = from_tensors(tensors_of(adapter), DEPTH)
    assert kept is not None
    assert digest_of(kept) == digest_of(adapter) != ""
    assert from_tensors(tensors_of(None), DEPTH) is None
    assert digest_of(None) == ""


def test_states_that_were_kept_are_not_taken_for_another_encoders(
    base: Base, bare: StateEncoder, adapter: Delta, tmp_path: Path
) -> None:
    read = KeptStates(bare, base.name, tmp_path)(MESSAGES[:3])
    tuned = KeptStates(StateEncoder(base, DEPTH, adapter), base.name, tmp_path)(MESSAGES[:3])
    assert not torch.allclose(read, tuned, atol=1e-3)
    assert torch.equal(KeptStates(StateEncoder(base, DEPTH, adapter), base.name, tmp_path)(MESSAGES[:3]), tuned)


def test_a_tuned_router_reads_through_the_adapter_in_its_file(base: Base, tmp_path: Path) -> None:
    card, tensors = make_router(
        EXAMPLES, DEV, GROUP_OF, base, settings=replace(SETTINGS, depth=DEPTH, tuning_examples=90)
    )
    path = tmp_path / "router.safetensors"
    write_router(path, card, tensors)
    made, kept = Cascade(RouterTensors(card=card, tensors=tensors, digest=""), base), Cascade(read_router(path), base)
    bare = {name: tensor for name, tensor in tensors.items() if not name.startswith("tuned.")}
    untuned = Cascade(RouterTensors(card=card, tensors=bare, digest=""), base)
    for name in GROUP_OF:
        seen = kept.look(asked(name, 70)).logits
        assert torch.allclose(seen, made.look(asked(name, 70)).logits, atol=1e-5)
        assert not torch.allclose(seen, untuned.look(asked(name, 70)).logits, atol=1e-3)


def test_an_adapter_of_another_size_is_refused(base: Base, tmp_path: Path) -> None:
    settings = replace(SETTINGS, depth=DEPTH, tuning_examples=30)
    card, tensors = make_router(EXAMPLES, DEV, GROUP_OF, base, settings=settings)
    tuned = [name for name in tensors if name.startswith("tuned.")]
    for shorter in (tuned[:1], tuned):
        less = {**tensors, **{name: tensors[name][:1] for name in shorter}}
        with pytest.raises(BadSettings, match="of 4 layers are wanted"):
            Cascade(RouterTensors(card=card, tensors=less, digest=""), base)
    missing = {name: tensor for name, tensor in tensors.items() if name != "tuned.b.o_proj"}
    with pytest.raises(BadSettings, match="has 13 matrices"):
        Cascade(RouterTensors(card=card, tensors=missing, digest=""), base)
