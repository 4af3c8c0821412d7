"""The base model with its adapters in this process, in float32: what speaks, and what finds a text likely.

Nothing here is safe to call from two threads. The worker calls.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from consilium.engines.embedded.batch import MAX_ROWS, Batch
from consilium.engines.embedded.decoder import Decoder, Loaded
from consilium.engines.embedded.deltas import GROUPS, BoundDeltas, Delta, overflown
from consilium.engines.embedded.prefixes import Prefixes, shared
from consilium.engines.embedded.row import Row
from consilium.engines.embedded.side_by_side import Reader
from consilium.engines.protocol import Likelihood
from consilium.engines.tiers import CAPACITY, Tally, Tier
from consilium.errors import AdapterRefused, BaseUnavailable
from consilium.members.adapter import WEIGHTS_FILE, Adapter
from consilium.members.base import Base
from consilium.members.catalogue import Member
from consilium.settings import Precision
from consilium.threads import loading

if TYPE_CHECKING:
    import torch

_PREFIX = "base_model.model."
"""What PEFT puts before the base's own module names in a file of weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A reply to be scored, in token ids."""

    member: Member
    prompt: tuple[int, ...]
    reply: tuple[int, ...]


class Model:
    """A base model, the adapters that its members need, and the batch they speak in.

    Args:
        base: the model.
        memory: which adapters' matrices are kept; None: as many as `CAPACITY`.
        slots: what is counted of those that are bound to rows; None: it is not looked at.
        precision: of products with the base's weights.
    """

    def __init__(
        self,
        base: Base,
        memory: Tier | None = None,
        slots: Tally | None = None,
        precision: Precision = "float32",
    ) -> None:
        import torch

        plain = load_plain(base)
        ends = plain.generation_config.eos_token_id
        if ends is None:
            raise BaseUnavailable(
                f"the base {base.name!r} names no token that ends a statement. "
                "Set eos_token_id in its generation_config.json."
            )
        self._base = base
        self._end_ids = frozenset([ends] if isinstance(ends, int) else ends)
        self._paths = {
            name: [path for path, _ in plain.named_modules() if path.endswith(f".{name}")]
            for group in GROUPS
            for name in group
        }
        with torch.inference_mode():
            self._decoder = Decoder(plain, precision)
        self._prefixes = Prefixes()
        self._memory = memory or Tier(Tally(place="here", tier="memory", capacity=CAPACITY))
        self._slots = slots or Tally(place="here", tier="engine", capacity=MAX_ROWS)
        self._resident: dict[str, Delta] = {}
        self._batch = self._new_batch()

    def _new_batch(self) -> Batch:
        return Batch(self._decoder, self._end_ids, self._prefixes, self._slots)

    @property
    def rows(self) -> list[Row]:
        """The rows in hand, those that still wait for room included."""
        return self._batch.rows

    def add(self, row: Row, member: Member) -> None:
        """Take a row in hand. Raises as `load`."""
        self._batch.add(row, self.load(member))

    def step(self) -> None:
        """Go on by one token a row; a step that breaks leaves no row in hand."""
        import torch

        try:
            with torch.inference_mode():
                self._batch.step()
        except BaseException:
            self._batch = self._new_batch()
            raise

    def load(self, member: Member, *, ahead: bool = False) -> Delta | None:
        """Return the member's adapter, read into memory if it is not there yet; None for the bare base.

        Args:
            member: whose adapter it is.
            ahead: that nobody waits for it yet.

        Raises:
            AdapterRefused: it was trained on another base, does not fit it, or holds weights that are not finite.
        """
        adapter, name = member.adapter, member.content_name
        if adapter is None:
            return None
        if not self._memory.find(name, ahead=ahead):
            started = time.perf_counter()
            member.check_base(self._base.name)
            delta = self._read(adapter)
            while leaving := self._memory.leaving():
                del self._resident[leaving]
            self._resident[name] = delta
            self._memory.put(name, 1e3 * (time.perf_counter() - started), ahead=ahead)
        return self._resident[name]

    def _read(self, adapter: Adapter) -> Delta:
        tensors = _read_tensors(adapter)
        self._check_fits(adapter, tensors)
        return self._delta(adapter, tensors)

    def _check_fits(self, adapter: Adapter, tensors: "dict[str, torch.Tensor]") -> None:
        """Compare the adapter's matrices with the base's projections, both ways and by shape."""
        rank = adapter.settings.r
        wanted: dict[str, tuple[int, int]] = {}
        for name in adapter.settings.target_modules:
            inputs, outputs = self._decoder.sizes[name]
            for path in self._paths[name]:
                wanted[f"{_PREFIX}{path}.lora_A.weight"] = (rank, inputs)
                wanted[f"{_PREFIX}{path}.lora_B.weight"] = (outputs, rank)
        found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        if odd := sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)):
            raise AdapterRefused(
                f"{adapter.folder} does not fit the base {self._base.name!r}: {odd[0]!r} has shape "
                f"{found.get(odd[0])}, the base wants {wanted.get(odd[0])}. Train the member on this base."
            )

    def _delta(self, adapter: Adapter, tensors: "dict[str, torch.Tensor]") -> Delta:
        import torch

        settings = adapter.settings

        def stacked(side: str) -> dict[str, torch.Tensor]:
            return {
                name: torch.stack([tensors[f"{_PREFIX}{path}.lora_{side}.weight"] for path in self._paths[name]])
                for name in settings.target_modules
            }

        scale = settings.lora_alpha / (settings.r**0.5 if settings.use_rslora else settings.r)
        b = {name: matrices.transpose(1, 2).contiguous() for name, matrices in stacked("B").items()}
        return Delta(rank=settings.r, scale=scale, a=stacked("A"), b=b)

    def likelihoods(self, asked: Sequence[Scored]) -> tuple[Likelihood, ...]:
        """Return the likelihood of each reply after its prompt.

        Those of a member in succession are read side by side. What their prompts begin with is read once, and so is a
        prompt that has several replies.

        Raises:
            AdapterRefused: as `load`; or it computes numbers that are not finite.
        """
        import torch

        found: list[Likelihood] = []
        deltas = BoundDeltas(self._decoder.layers_count, self._decoder.sizes)
        with torch.inference_mode():
            for member, of_member in groupby(asked, key=lambda scored: scored.member):
                deltas.bind(0, self.load(member))
                found.extend(_finite(score, member) for score in self._scores(list(of_member), deltas))
        return tuple(found)

    def _scores(self, asked: Sequence[Scored], deltas: BoundDeltas) -> list[Likelihood]:
        by_prompt: dict[tuple[int, ...], list[int]] = {}
        for place, scored in enumerate(asked):
            by_prompt.setdefault(scored.prompt, []).append(place)
        several = [places for places in by_prompt.values() if len(places) > 1]
        single = [places[0] for places in by_prompt.values() if len(places) == 1]
        found: dict[int, Likelihood] = {}
        for places in (*several, *([single] if single else [])):
            found.update(zip(places, self._read_together([asked[place] for place in places], deltas), strict=True))
        return [found[place] for place in range(len(asked))]

    def _read_together(self, asked: Sequence[Scored], deltas: BoundDeltas) -> list[Likelihood]:
        """Score replies whose prompts begin alike; a prompt's last token is left, for it tells the reply's first."""
        import torch

        first = asked[0].prompt
        begins = min(min(shared(first, scored.prompt), len(scored.prompt) - 1) for scored in asked)
        rows = [[*scored.prompt[begins:], *scored.reply[:-1]] for scored in asked]
        reader = Reader(self._decoder, first[:begins], deltas.window(slice(0, 1)))
        found: dict[int, Likelihood] = {}
        for places, states in reader.read(rows):
            for place, of_row in zip(places, states, strict=True):
                reply, end = asked[place].reply, len(rows[place])
                chances = self._decoder.logits(of_row[end - len(reply) : end]).log_softmax(-1)
                chosen = chances.gather(-1, torch.tensor(reply)[:, None])
                found[place] = Likelihood(log_probability=float(chosen.sum()), tokens=len(reply))
        return [found[place] for place in range(len(asked))]


def load_plain(base: Base) -> Loaded:
    """Return transformers' model of the base, in float32."""
    import torch

    with loading:
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        return AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32)


def _finite(score: Likelihood, member: Member) -> Likelihood:
    if not math.isfinite(score.log_probability):
        raise overflown(member.name)
    return score


def _read_tensors(adapter: Adapter) -> "dict[str, torch.Tensor]":
    import torch
    from safetensors.torch import load

    tensors = load(adapter.read_weights())
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise AdapterRefused(
                f"{adapter.folder / WEIGHTS_FILE}: tensor {name!r} holds values that are not finite. "
                "Train the member again, with a smaller learning rate."
            )
    return tensors
