"""Adapters come and go in memory while others speak with theirs; what does not fit is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from consilium.engines.embedded import batch, model
from consilium.engines.embedded.deltas import BoundDeltas, Delta
from consilium.engines.embedded.keys_values import KeysValues
from consilium.engines.embedded.model import Model, Scored
from consilium.errors import AdapterRefused
from consilium.members.adapter import CONFIG_FILE
from consilium.members.base import Base
from consilium.members.catalogue import Catalogue, Member
from consilium.settings import data_folder
from tests.support.adapters import write_adapter
from tests.support.council import real_base
from tests.support.tiny import Speakers, bare_member, some_ids, tiny_member

MEBIBYTE = 2**20


def resident(model: Model) -> list[str]:
    """Return the members whose adapters are in memory, the longest unused first."""
    return [name.partition("@")[0] for name in model._memory.names]


def test_the_adapter_unused_for_longest_makes_room(
    tiny: Base, crew: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "CAPACITY", 2)
    served = Model(tiny)
    pilot, mate, cook = crew[:3]
    for member, expected in ((pilot, ["pilot"]), (mate, ["pilot", "mate"]), (pilot, ["mate", "pilot"])):
        served.load(member)
        assert resident(served) == expected
    served.load(cook)
    assert resident(served) == ["pilot", "cook"]
    assert served.load(bare_member()) is None
    assert resident(served) == ["pilot", "cook"]


def test_rows_speak_on_with_adapters_that_are_evicted_and_read_again(
    tiny: Base, crew: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "CAPACITY", 1)
    speakers, ids = Speakers(tiny), some_ids(8)
    rows = [speakers.add(member, ids, min_tokens=12, max_tokens=12).row for member in crew]
    while speakers.model.rows:
        speakers.model.step()
        for number, member in enumerate(crew[:3]):  # each drives out the one before
            speakers.model.load(member)
            speakers.model.likelihoods([Scored(member=crew[number + 1], prompt=tuple(ids), reply=(7, 8))])
            assert len(resident(speakers.model)) == 1
    for member, row in zip(crew, rows, strict=True):
        assert row.drawn == Speakers(tiny).say(member, ids, min_tokens=12, max_tokens=12)


def spoiled(member: Member, change: str, folder: Path) -> Member:
    """Return the member with weights that do not fit its base."""
    assert member.adapter is not None
    tensors = load(member.adapter.read_weights())
    first = min(tensors)
    if change == "missing":
        del tensors[first]
    elif change == "odd":
        tensors[first] = tensors[first][:, :-1].clone()
    else:
        tensors[first.replace("layers.0", "layers.7")] = tensors[first].clone()
    config = (member.adapter.folder / CONFIG_FILE).read_bytes()
    pin = write_adapter(folder, config=config, weights=save(tensors), base=member.adapter.pin.base)
    return replace(member, adapter=replace(member.adapter, folder=folder, pin=pin))


@pytest.mark.parametrize("change", ["missing", "odd", "beyond the last layer"])
def test_an_adapter_must_fit_every_layer(tiny: Base, crew: list[Member], change: str, tmp_path: Path) -> None:
    served = Model(tiny)
    with pytest.raises(AdapterRefused, match="does not fit the base 'tiny@"):
        served.load(spoiled(crew[0], change, tmp_path / "spoiled"))
    assert resident(served) == []


def test_a_likelihood_that_is_no_number_is_refused(tiny: Base, crew: list[Member]) -> None:
    served, bull = Model(tiny), tiny_member("bull", tiny, spread=1e30)
    asked = [Scored(member=member, prompt=(7, 8, 9), reply=(10, 11)) for member in (crew[0], bull)]
    with pytest.raises(AdapterRefused, match="'bull' computes numbers that are not finite"):
        served.likelihoods(asked)
    (sound,) = served.likelihoods(asked[:1])
    assert sound.log_probability < 0


@pytest.mark.parametrize("own", [(0, 0, 0), (1, 12, 3)], ids=["one prompt", "prompts that begin alike"])
def test_what_is_read_once_for_several_counts_as_if_read_alone(
    own: tuple[int, ...], tiny: Base, crew: list[Member]
) -> None:
    served, begins = Model(tiny), some_ids(9)
    asked = [
        Scored(
            member=member,
            prompt=(*begins, *some_ids(length, seed=length)),
            reply=tuple(some_ids(number, seed=number)),
        )
        for member in crew for number, length in zip((1, 4, 7), own, strict=True)
    ]  # fmt: skip
    together = served.likelihoods(asked)
    for one, found in zip(asked, together, strict=True):
        (alone,) = served.likelihoods([one])
        assert found.log_probability == pytest.approx(alone.log_probability, abs=1e-4)
        assert found.tokens == len(one.reply)


def test_a_broken_step_leaves_no_row_and_the_next_is_sound(
    tiny: Base, crew: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    speakers, ids = Speakers(tiny), some_ids(8)
    for member in crew:
        speakers.add(member, ids)
    with monkeypatch.context() as patch:
        patch.setattr(speakers.model._decoder, "forward", lambda *_args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            speakers.model.step()
    assert speakers.model.rows == []
    assert speakers.say(crew[0], ids, min_tokens=6) == Speakers(tiny).say(crew[0], ids, min_tokens=6)


@pytest.fixture(scope="module")
def real() -> Model:
    """Return a model of the built-in base."""
    return Model(real_base())


def bytes_of(deltas: list[Delta]) -> int:
    return sum(matrices.nbytes for delta in deltas for side in (delta.a, delta.b) for matrices in side.values())


@pytest.mark.model
def test_sixteen_adapters_in_memory_cost_what_their_files_hold(real: Model) -> None:
    (member, *_) = trained()
    assert member.adapter is not None
    for number in range(16):
        real.load(replace(member, persona=member.persona.model_copy(update={"name": f"member-{number}"})))
    deltas = list(real._resident.values())
    assert len(deltas) == 16
    assert bytes_of(deltas) <= 16 * member.adapter.bytes_on_disk * 1.1


@pytest.mark.model
def test_thirty_two_seats_stay_within_four_gibibytes(real: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many rows as may speak, each as long as the room allows, while that room is taken in place of a smaller one.

    Sizes alone are counted: the tensors are made without memory behind them.
    """
    decoder, delta = real._decoder, real.load(trained()[0])
    real_zeros = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda *shape: real_zeros(*shape, device="meta"))
    bound = BoundDeltas(decoder.layers_count, decoder.sizes)
    bound._reserve(batch.MAX_ROWS, delta.rank if delta else 0)
    kv = KeysValues(decoder.layers_count, decoder.kv_heads, decoder.head_size)
    taken = []
    for rows, tokens in ((1, 1), (17, 700), (batch.MAX_ROWS, 900), (batch.MAX_ROWS, batch.MAX_ROOM // batch.MAX_ROWS)):
        before = kv._data.nbytes
        kv.reserve(rows, tokens, used=min(rows - 1, kv.slots), most=batch.MAX_ROOM)
        taken.append(before + kv._data.nbytes + sum(matrix.nbytes for matrix in (*bound._a, *bound._b)))
    assert kv.room == batch.MAX_ROOM
    assert 1_024 * MEBIBYTE < max(taken) < 4_096 * MEBIBYTE


def trained() -> list[Member]:
    """Return the shipped members with adapters."""
    members = Catalogue.load(data_folder("personas")).members.values()
    return [member for member in members if member.adapter is not None]
