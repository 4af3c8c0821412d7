"""trl's trainer, as CPUs need it: logits where a loss is taken of them, and rows of one prompt together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad
from torch.utils.data import Dataset, Sampler
from trl.trainer.sft_trainer import SFTTrainer

from consilium.training.packing import NOT_LEARNED

SORTED_TOGETHER = 50
"""Batches whose rows are sorted by length together; more would pad less, and be less random."""
TOKENS_AT_ONCE = 2048
"""Tokens whose gradients are taken in one go; until then the layers of SmolLM2-135M keep 2.4 MB for each."""


class Trainer(SFTTrainer):
    """Takes batches of `pack`, of rows that may have several system prompts.

    Args:
        prompts: the rows' system prompts.
        weights: how often each token's loss counts while it is learned, by token id; where it is measured, once. None:
            once in either case.
        kwargs: trl's own.
    """

    weights: Tensor | None = None

    def __init__(
        self,
        *,
        prompts: Sequence[str],
        weights: Tensor | None,
        **kwargs: Any,  # noqa: ANN401 -- trl's own
    ) -> None:
        self._prompts = prompts
        self.weights = weights
        super().__init__(**kwargs)

    def compute_loss(
        self,
        model: Any,  # noqa: ANN401 -- PEFT's class depends on the base
        inputs: Mapping[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Return the mean cross-entropy of the learned tokens, in nats, each times its weight while training.

        No other token's logits are computed: most tokens are a prompt's, and a vocabulary has as many weights as
        several layers.
        """
        predicted = pad(inputs["labels"][:, 1:], (0, 1), value=NOT_LEARNED)
        learned = predicted != NOT_LEARNED
        read = {name: value for name, value in inputs.items() if name != "labels"}
        with _only(model.get_output_embeddings(), learned):
            logits = model(**read, use_cache=False).logits
        wanted = predicted[learned]
        count = len(wanted) if num_items_in_batch is None else num_items_in_batch
        weights = self.weights if model.training else None
        return cross_entropy(logits.flatten(0, -2), wanted, weights, reduction="sum") / count

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: Mapping[str, Tensor],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Add up the gradients of a batch of long rows a few sequences at a time, which need no more memory than those.

        Returns the loss of the whole batch.
        """
        whole = (inputs["labels"][:, 1:] != NOT_LEARNED).sum() if num_items_in_batch is None else num_items_in_batch
        step: Callable[..., Tensor] = super().training_step
        return torch.stack([step(model, part, whole) for part in _parts(inputs)]).sum()

    def _get_train_sampler(self, train_dataset: "Dataset[Any] | None" = None) -> "Sampler[int] | None":
        if len(set(self._prompts)) == 1:
            sampler: Sampler[int] | None = super()._get_train_sampler(train_dataset)
            return sampler
        lengths = [len(row) for row in self.train_dataset["input_ids"]]  # type: ignore[index]  # a list, never a stream
        return ByPrompt(self._prompts, lengths, self.args.train_batch_size, seed=self.args.seed)


class ByPrompt(Sampler[int]):
    """Batches of rows with the same prompt and about the same length, the batches in random order.

    A prompt that all rows of a batch begin with is read once. The rows of each that do not fill a batch come last.
    """

    def __init__(self, prompts: Sequence[str], lengths: Sequence[int], batch_size: int, *, seed: int) -> None:
        self._lengths, self._batch_size, self._seed, self._epoch = lengths, batch_size, seed, 0
        self._rows: dict[str, list[int]] = {}
        for row, prompt in enumerate(prompts):
            self._rows.setdefault(prompt, []).append(row)

    def __len__(self) -> int:
        return len(self._lengths)

    def set_epoch(self, epoch: int) -> None:
        """Be in another order from now on; transformers' trainer calls it."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        full: list[Sequence[int]] = []
        left: list[int] = []
        for rows in self._rows.values():
            shuffled = [rows[at] for at in torch.randperm(len(rows), generator=generator)]
            for together in _slices(shuffled, SORTED_TOGETHER * self._batch_size):
                for batch in _slices(sorted(together, key=lambda row: self._lengths[row]), self._batch_size):
                    if len(batch) == self._batch_size:
                        full.append(batch)
                    else:
                        left += batch
        for at in torch.randperm(len(full), generator=generator):
            yield from full[at]
        yield from left


def _parts(batch: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    count, length = batch["input_ids"].shape
    at_once = max(1, TOKENS_AT_ONCE // length)
    for start in range(0, count, at_once):
        yield {name: tensor[start : start + at_once] for name, tensor in batch.items()}


def _slices(rows: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


@contextmanager
def _only(head: torch.nn.Module, positions: Tensor) -> Iterator[None]:
    """Let a model's head see these positions alone, a boolean for each token, as one sequence."""
    hook = head.register_forward_pre_hook(lambda _head, hidden: hidden[0][positions][None])
    try:
        yield
    finally:
        hook.remove()
