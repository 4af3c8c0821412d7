"""Fitting: the coarse path learns what only order or context tells, and the mixture leans on what is right."""

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from consilium.errors import BadSettings
from consilium.routing.fitting import FitSettings, FitStep, calibrate, fit_coarse
from consilium.routing.reading import TOKENS, Reader
from consilium.routing.table import TokenTable

INPUTS = 16
SMALL = FitSettings(inputs=INPUTS, width=16, epochs=20, batch=32, learning_rate=1e-2)
GROUP_OF = (0, 1, 1)


@pytest.fixture(scope="module")
def reader() -> Reader:
    backend = Tokenizer(WordLevel({"?": 0, **{f"w{number}": number for number in range(1, 60)}}, "?"))
    backend.pre_tokenizer = WhitespaceSplit()
    embeddings = torch.randn(60, 40, generator=torch.Generator().manual_seed(0))
    return Reader(backend, TokenTable.reduced(embeddings, INPUTS))


def some(count: int, seed: int) -> list[str]:
    drawn = torch.randint(10, 60, (count, 5), generator=torch.Generator().manual_seed(seed)).tolist()
    return [" ".join(f"w{token}" for token in tokens) for tokens in drawn]


def test_order_tells_members_apart_and_groups_follow(reader: Reader) -> None:
    """Member 1 is asked with w1 before w2, member 2 the other way round, member 0 with neither."""
    texts = some(360, seed=1)
    labels = torch.arange(360) % 3
    told = [("", ""), ("w1 ", " w2"), ("w2 ", " w1")]
    readings = [reader.read(told[n][0] + text + told[n][1]) for text, n in zip(texts, labels.tolist(), strict=True)]
    steps: list[FitStep] = []
    known = torch.eye(3)[labels[:300]]
    fitted = fit_coarse(reader, readings[:300], known, GROUP_OF, SMALL, seed=1, on_step=steps.append)
    groups, members = fitted(reader.batch(readings[300:]))
    assert (members.argmax(-1) == labels[300:]).float().mean() > 0.9
    assert (groups.argmax(-1) == labels[300:].clamp(max=1)).float().mean() > 0.9
    assert steps[-1].done == steps[-1].total == 20 * 10
    assert steps[-1].loss < steps[0].loss


@pytest.mark.parametrize("regulariser", ["gjs", "balance", "none"])
def test_the_same_seed_makes_the_same_network(reader: Reader, regulariser: str) -> None:
    readings = [reader.read(text) for text in some(40, seed=3)]
    targets = torch.eye(3)[torch.arange(40) % 3]
    brief = FitSettings(inputs=INPUTS, width=16, epochs=1, batch=16, regulariser=regulariser)  # type: ignore[arg-type]
    first, again, other = (
        fit_coarse(reader, readings, targets, GROUP_OF, brief, seed=seed)(reader.batch(readings))[1]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_requests_without_targets_are_refused(reader: Reader) -> None:
    with pytest.raises(BadSettings, match="1 requests and 2 targets"):
        fit_coarse(reader, [reader.read("w1")], torch.eye(3)[:2], GROUP_OF, SMALL)


@pytest.mark.parametrize(("right", "trust"), [("fine", 0.3), ("coarse", 0.7)])
def test_the_mixture_leans_on_the_path_that_is_right(right: str, trust: float) -> None:
    torch.manual_seed(0)
    targets = torch.eye(3)[torch.arange(90) % 3]
    good, noise = 4 * targets + torch.randn(90, 3), torch.randn(90, 3)
    fine, coarse = (good, noise) if right == "fine" else (noise, good)
    by_group = torch.stack([coarse[:, 0], coarse[:, 1:].logsumexp(-1)], 1)
    hybrid = calibrate(GROUP_OF, fine, by_group, coarse, targets)
    assert all((share < trust) == (right == "fine") for share in hybrid.trust())
    mixed = hybrid(fine, by_group, coarse).members.mixed
    assert (mixed.argmax(-1) == targets.argmax(-1)).float().mean() > 0.9


def test_a_message_is_read_from_both_ends(reader: Reader) -> None:
    reading = reader.read(" ".join(f"w{1 + number % 50}" for number in range(1_000)))
    assert (len(reading), reading[0], reading[-1]) == (TOKENS, 1, 50)
    assert reader.read("") == [0]
    batch = reader.batch([reading, reader.read("w1 w2")])
    assert batch.embeddings.shape == (2, TOKENS, INPUTS)
    assert batch.present.sum(-1).tolist() == [TOKENS, 2]
