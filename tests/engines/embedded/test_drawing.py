"""Tokens are drawn as transformers draws them, from a nucleus that is found faster."""

import pytest
import torch

from consilium.engines.embedded import drawing
from consilium.engines.embedded.drawing import draw, nuclei, restrain
from consilium.engines.embedded.row import Row
from tests.support.tiny import a_prompt, tiny_tokenizer

VOCABULARY = 300
DRAWS = 3_000
ENDS = frozenset({0, 1})


def a_row(*, seed: int = 0, drawn: tuple[int, ...] = (), **sampling: object) -> Row:
    """Return a row that has said ``drawn``."""
    row = Row(a_prompt("clerk", seed=seed, **{"max_tokens": 64, **sampling}), "clerk", [7, 8, 9], lambda _piece: None)
    row.bind(tiny_tokenizer().backend_tokenizer)
    row.drawn.extend(drawn)
    return row


def some_logits(rows: int = 1, *, spread: float = 3.0, seed: int = 0) -> torch.Tensor:
    return spread * torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed))


def transformers_own(logits: torch.Tensor, row: Row) -> torch.Tensor:
    """Return the probabilities, [vocabulary], from which transformers would draw."""
    from transformers import (
        LogitsProcessorList,
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopPLogitsWarper,
    )

    sampling = row.prompt.sampling
    processors = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty),
            TemperatureLogitsWarper(sampling.temperature),
            TopPLogitsWarper(sampling.top_p),
        ]
    )
    return processors(torch.tensor([row.drawn]), logits[None])[0].softmax(-1)


@pytest.mark.parametrize("candidates", [4, 256], ids=["beyond the candidates", "within"])
@pytest.mark.parametrize("spread", [0.5, 6.0], ids=["flat", "peaked"])
def test_a_nucleus_is_transformers_own(monkeypatch: pytest.MonkeyPatch, candidates: int, spread: float) -> None:
    monkeypatch.setattr(drawing, "CANDIDATES", candidates)
    settings = [
        {"temperature": temperature, "top_p": top_p, "repetition_penalty": penalty}
        for temperature in (0.6, 1.0, 1.7)
        for top_p in (0.05, 0.5, 0.9, 0.999, 1.0)
        for penalty in (1.0, 1.4)
    ]
    rows = [a_row(drawn=(3, 50, 50, 299), **one) for one in settings]
    logits = some_logits(len(rows), spread=spread)
    expected = [transformers_own(logits[index], row) for index, row in enumerate(rows)]
    restrain(logits, rows, ENDS)
    sizes = []
    for (weights, ids), wanted in zip(nuclei(logits, [row.prompt.sampling for row in rows]), expected, strict=True):
        assert sorted(ids.tolist()) == wanted.nonzero()[:, 0].tolist()
        torch.testing.assert_close(weights / weights.sum(), wanted[ids], rtol=1e-4, atol=1e-7)
        sizes.append(len(ids))
    assert min(sizes) < candidates
    assert candidates == 256 or max(sizes) > candidates


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    row = a_row(temperature=0.8, top_p=0.6, max_tokens=DRAWS)
    logits = some_logits(spread=1.5)
    wanted = transformers_own(logits[0], a_row(temperature=0.8, top_p=0.6))
    for _ in range(DRAWS):
        draw(logits.clone(), [row], frozenset())
    shares = torch.bincount(torch.tensor(row.drawn), minlength=VOCABULARY) / DRAWS
    assert not shares[wanted == 0].any()
    assert float((shares - wanted).abs().max()) < 4 * (0.25 / DRAWS) ** 0.5


def test_penalties_and_settings_are_each_rows_own() -> None:
    logits = torch.zeros(3, VOCABULARY)
    logits[:, 5], logits[:, 6], logits[:, 7] = 2.0, 1.9, -1.0
    penalised, free, warm = a_row(drawn=(5,), repetition_penalty=1.5), a_row(drawn=(5,)), a_row(temperature=1e-3)
    draw(logits, [penalised, free, warm], ENDS)
    assert (penalised.drawn[-1], free.drawn[-1], warm.drawn[-1]) == (6, 5, 5)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_ends_are_held_back_until_enough_was_said(temperature: float) -> None:
    logits = torch.zeros(1, VOCABULARY)
    logits[0, list(ENDS)] = 50.0
    row = a_row(min_tokens=3, temperature=temperature)
    for said in (1, 2, 3):
        draw(logits.clone(), [row], ENDS)
        assert (len(row.drawn), row.done) == (said, False)
    draw(logits.clone(), [row], ENDS)
    assert (len(row.drawn), row.done) == (3, True)


def test_a_seed_draws_again_what_it_drew_and_another_does_not() -> None:
    def said(seed: int, beside: int) -> list[int]:
        row = a_row(seed=seed, temperature=1.0, top_p=0.9)
        others = [a_row(seed=100 + number, temperature=1.3) for number in range(beside)]
        for step in range(12):
            draw(some_logits(seed=step).expand(1 + beside, -1).clone(), [row, *others], frozenset())
        return row.drawn

    assert said(1, beside=0) == said(1, beside=3)
    assert said(1, beside=0) != said(2, beside=0)
