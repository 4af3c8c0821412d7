"""One mixed-adapter batch in the hands of transformers' ``generate``.

``generate`` treats a batch as one thing: one temperature, one end. A council's rows each have their own. `Batch` is
therefore both hooks that ``generate`` offers: as logits processor it draws each row's token by that row's settings and
leaves it as the only possible one, as stopping criterion it hands the token to its row and says which rows are done.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from consilium.engines.embedded.row import Row

if TYPE_CHECKING:
    import torch


class Batch:
    """The rows of one ``generate`` call, in the order of the batch."""

    def __init__(self, rows: Sequence[Row], end_ids: frozenset[int]) -> None:
        self._rows = rows
        self._end_ids = end_ids

    def draw(self, _input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        """Draw for the rows that do not just take the largest logit, as logits processor; no row ends too early.

        Scores: [rows, vocabulary], logits; a drawn row keeps one finite entry.
        """
        import torch

        for index, row in enumerate(self._rows):
            if row.done:
                continue
            if len(row.drawn) < row.prompt.sampling.min_tokens:
                scores[index, list(self._end_ids)] = -torch.inf
            if (chosen := draw_token(scores[index : index + 1], row)) is not None:
                scores[index] = -torch.inf
                scores[index, chosen] = 0.0
        return scores

    def stop(self, input_ids: "torch.Tensor", _scores: object) -> "torch.Tensor":
        """Hand each row its token, as stopping criterion.

        Input ids: [rows, tokens so far]. Returns [rows], true where a row is done.
        """
        import torch

        for row, token_id in zip(self._rows, input_ids[:, -1].tolist(), strict=True):
            if row.cancelled:
                row.done = True
            if not row.done:
                row.accept(token_id, is_end=token_id in self._end_ids)
        return torch.tensor([row.done for row in self._rows])


def draw_token(scores: "torch.Tensor", row: Row) -> int | None:
    """Draw one token from ``scores`` ([1, vocabulary], logits); None leaves the choice to the largest logit.

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
        scores = RepetitionPenaltyLogitsProcessor(settings.repetition_penalty)(drawn, scores)
    elif settings.temperature == 0:
        return None
    if settings.temperature == 0:
        return int(scores.argmax())
    scores = TemperatureLogitsWarper(settings.temperature)(drawn, scores)
    if settings.top_p < 1:
        scores = TopPLogitsWarper(settings.top_p)(drawn, scores)
    return int(torch.multinomial(scores.softmax(-1)[0], 1, generator=row.generator))
