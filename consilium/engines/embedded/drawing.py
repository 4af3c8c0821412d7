"""From logits to the rows' next tokens, each by its own settings."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from consilium.engines.embedded.row import Row

if TYPE_CHECKING:
    import torch


def draw(logits: "torch.Tensor", rows: Sequence[Row], end_ids: frozenset[int]) -> None:
    """Draw each row's next token from its logits ([rows, vocabulary]) and hand it over."""
    import torch

    ends = list(end_ids)
    for index, row in enumerate(rows):
        if len(row.drawn) < row.prompt.sampling.min_tokens:
            logits[index, ends] = -torch.inf
    likeliest = logits.argmax(-1).tolist()
    for index, row in enumerate(rows):
        chosen = _drawn(logits[index : index + 1], row)
        token_id = likeliest[index] if chosen is None else chosen
        row.accept(token_id, is_end=token_id in end_ids)


def _drawn(logits: "torch.Tensor", row: Row) -> int | None:
    """Draw one token from ``logits`` ([1, vocabulary]); None leaves the choice to the largest.

    The order is transformers' own: repetition penalty, temperature, nucleus (Holtzman et al., arXiv 1904.09751).
    """
    import torch
    from transformers.generation.logits_process import (
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopPLogitsWarper,
    )

    settings = row.prompt.sampling
    drawn = torch.tensor([row.drawn], dtype=torch.long)
    if settings.repetition_penalty > 1 and row.drawn:
        logits = RepetitionPenaltyLogitsProcessor(settings.repetition_penalty)(drawn, logits)
    elif settings.temperature == 0:
        return None
    if settings.temperature == 0:
        return int(logits.argmax())
    logits = TemperatureLogitsWarper(settings.temperature)(drawn, logits)
    if settings.top_p < 1:
        logits = TopPLogitsWarper(settings.top_p)(drawn, logits)
    return int(torch.multinomial(logits.softmax(-1)[0], 1, generator=row.generator))
