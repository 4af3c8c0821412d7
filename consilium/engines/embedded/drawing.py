"""From logits to the rows' next tokens, each by its own settings."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from consilium.engines.embedded.row import Row
from consilium.members.persona import SamplingDefaults

if TYPE_CHECKING:
    import torch

CANDIDATES = 256
"""Tokens among which a nucleus is looked for first: a vocabulary takes longer to sort than a model to run."""


def draw(logits: "torch.Tensor", rows: Sequence[Row], end_ids: frozenset[int]) -> None:
    """Draw each row's next token from its logits ([rows, vocabulary], which are changed) and hand it over.

    The order is transformers' own: repetition penalty (Keskar et al., arXiv 1909.05858, eq. 5), temperature, nucleus
    (Holtzman et al., arXiv 1904.09751).
    """
    restrain(logits, rows, end_ids)
    tokens = logits.argmax(-1).tolist()
    drawing = [index for index, row in enumerate(rows) if row.prompt.sampling.temperature > 0]
    if drawing:
        for index, token in zip(drawing, _drawn(logits[drawing], [rows[i] for i in drawing]), strict=True):
            tokens[index] = token
    for row, token in zip(rows, tokens, strict=True):
        row.accept(token, is_end=token in end_ids)


def restrain(logits: "torch.Tensor", rows: Sequence[Row], end_ids: frozenset[int]) -> None:
    """Hold back, in ``logits``, ends that would come too early and tokens that were drawn before."""
    ends = list(end_ids)
    for index, row in enumerate(rows):
        if len(row.drawn) < row.prompt.sampling.min_tokens:
            logits[index, ends] = float("-inf")
        if row.prompt.sampling.repetition_penalty > 1 and row.drawn:
            _penalise(logits[index], row.drawn, row.prompt.sampling.repetition_penalty)


def _penalise(logits: "torch.Tensor", drawn: list[int], penalty: float) -> None:
    """Make the tokens that were drawn before less likely, in ``logits`` ([vocabulary])."""
    import torch

    found = logits[drawn]
    logits[drawn] = torch.where(found > 0, found / penalty, found * penalty)


def _drawn(logits: "torch.Tensor", rows: Sequence[Row]) -> Iterator[int]:
    import torch

    for row, (weights, ids) in zip(rows, nuclei(logits, [row.prompt.sampling for row in rows]), strict=True):
        reached = weights.cumsum(-1, dtype=torch.double)
        # Above 0 and at most the sum: so the token at which it is reached has a weight. `torch.multinomial` makes noise
        # for every token of the vocabulary instead.
        aim = reached[-1] * (1 - torch.rand((), dtype=torch.double, generator=row.generator))
        yield int(ids[torch.searchsorted(reached, aim)])


def nuclei(
    logits: "torch.Tensor", settings: Sequence[SamplingDefaults]
) -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
    """Yield what each row draws from: probabilities, which need not sum to 1, and the ids of their tokens.

    Args:
        logits: [rows, vocabulary].
        settings: the rows', with temperatures above 0.
    """
    import torch

    probabilities = (logits / torch.tensor([[sampling.temperature] for sampling in settings])).softmax(-1)
    for found, sampling in zip(probabilities, settings, strict=True):
        yield (found, torch.arange(len(found))) if sampling.top_p == 1 else _nucleus(found, sampling.top_p)


def _nucleus(probabilities: "torch.Tensor", top_p: float) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return the likeliest tokens that reach a share together, [tokens] of [vocabulary], and their ids."""
    found, ids = probabilities.topk(min(CANDIDATES, len(probabilities)))
    if float(found.sum()) < top_p:
        found, ids = probabilities.sort(descending=True)
    size = int((found.cumsum(0) - found < top_p).sum())
    return found[:size], ids[:size]
