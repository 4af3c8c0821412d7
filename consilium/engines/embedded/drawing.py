"""From logits to the rows' next tokens, each by its own settings."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from consilium.engines.embedded.row import Row

if TYPE_CHECKING:
    import torch

CANDIDATES = 256
"""Tokens among which a nucleus is looked for first: a vocabulary takes longer to sort than a model to run."""


def draw(logits: "torch.Tensor", rows: Sequence[Row], end_ids: frozenset[int]) -> None:
    """Draw each row's next token from its logits ([rows, vocabulary], which are changed) and hand it over.

    The order is transformers' own: repetition penalty (Keskar et al., arXiv 1909.05858, eq. 5), temperature, nucleus
    (Holtzman et al., arXiv 1904.09751).
    """
    ends = list(end_ids)
    for index, row in enumerate(rows):
        if len(row.drawn) < row.prompt.sampling.min_tokens:
            logits[index, ends] = float("-inf")
        if row.prompt.sampling.repetition_penalty > 1 and row.drawn:
            _penalise(logits[index], row.drawn, row.prompt.sampling.repetition_penalty)
    tokens = logits.argmax(-1).tolist()
    drawing = [index for index, row in enumerate(rows) if row.prompt.sampling.temperature > 0]
    if drawing:
        for index, token in zip(drawing, _drawn(logits[drawing], [rows[i] for i in drawing]), strict=True):
            tokens[index] = token
    for row, token in zip(rows, tokens, strict=True):
        row.accept(token, is_end=token in end_ids)


def _penalise(logits: "torch.Tensor", drawn: list[int], penalty: float) -> None:
    """Make the tokens that were drawn before less likely, in ``logits`` ([vocabulary])."""
    import torch

    found = logits[drawn]
    logits[drawn] = torch.where(found > 0, found / penalty, found * penalty)


def _drawn(logits: "torch.Tensor", rows: Sequence[Row]) -> list[int]:
    """Return a token drawn for each row from the nucleus of its distribution; ``logits`` is [rows, vocabulary]."""
    import torch

    logits = logits / torch.tensor([[row.prompt.sampling.temperature] for row in rows])
    probabilities = logits.softmax(-1)
    likeliest, ids = probabilities.topk(min(CANDIDATES, logits.shape[-1]))
    tokens = []
    for index, row in enumerate(rows):
        top_p = row.prompt.sampling.top_p
        if top_p == 1:
            tokens.append(int(torch.multinomial(probabilities[index], 1, generator=row.generator)))
            continue
        found, of = likeliest[index], ids[index]
        if float(found.sum()) < top_p:
            found, of = probabilities[index].sort(descending=True)
        nucleus = found[found.cumsum(0) - found < top_p]
        tokens.append(int(of[torch.multinomial(nucleus, 1, generator=row.generator)]))
    return tokens
