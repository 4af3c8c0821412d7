"""The cascade: a fast stage that is mostly sure, and a deep one for where it is not."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from consilium.errors import BadSettings
from consilium.members.base import Base
from consilium.routing.deep import DeepPath, StateEncoder
from consilium.routing.fine import FinePath
from consilium.routing.hybrid import Found, Hybrid
from consilium.routing.network import CoarseNetwork
from consilium.routing.reading import Reader
from consilium.routing.router_file import RouterTensors
from consilium.routing.table import TokenTable

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class FastStage:
    """What decides without a language model: two paths and their mixture."""

    reader: Reader
    fine: FinePath
    coarse: CoarseNetwork
    hybrid: Hybrid

    def decide(self, messages: Sequence[str], before: Sequence[str], sat: Sequence[int]) -> Found:
        """Return how likely each member is, by either path and by both.

        Args:
            messages: what is asked.
            before: what was asked before that; empty for nothing.
            sat: the number of the member that answered then; -1 for none.
        """
        with torch.inference_mode():
            found: Found = self.hybrid(*self.logits(messages, before, sat))
        return found

    def logits(
        self, messages: Sequence[str], before: Sequence[str], sat: Sequence[int]
    ) -> "tuple[Tensor, Tensor, Tensor]":
        """Return logits of both paths: members by the fine one, groups and members by the coarse one.

        Each [requests, choices]; arguments as of `decide`.
        """
        readings = [self.reader.read(*each) for each in zip(messages, before, sat, strict=True)]
        with torch.no_grad():
            groups, members = self.coarse(self.reader.batch(readings))
        return self.fine.logits(messages), groups, members

    def tensors(self) -> "dict[str, Tensor]":
        """Return what a file keeps."""
        parts = {"coarse": self.coarse, "hybrid": self.hybrid}
        state = {f"{part}.{name}": value for part, net in parts.items() for name, value in net.state_dict().items()}
        return {**self.reader.table.tensors(), **self.fine.tensors(), **state}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How likely each member is the right one for a request, and what each stage found."""

    scores: dict[str, float]
    fast: Found
    """Of the fitted members alone."""
    deep: dict[str, float] | None
    """What the deep stage thinks alone; None where it was not asked."""


class Cascade:
    """Asks the fast stage, and both where that is not sure enough; with newcomers both each time.

    Args:
        file: a fitted router.
        encoder: the base that it reads with.
        newcomers: members that it was not fitted on, by name, and example requests of each.

    Raises:
        BadSettings: the router reads with another base, or its tensors do not fit its card.
    """

    def __init__(
        self, file: RouterTensors, encoder: Base, newcomers: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        if file.card.encoder != encoder.name:
            raise BadSettings(
                f"the router reads with {file.card.encoder!r}, not with {encoder.name!r}. Fit it anew on that base."
            )
        self.card = file.card
        self.fast, self._deep = _stages(file, encoder)
        self._newcomers = dict(newcomers or {})
        self._encoder = encoder
        self._states: StateEncoder | None = None
        self._lock = threading.Lock()

    def scores(self, message: str, before: str = "", sat: str = "") -> Scores:
        """Return what is thought of a message, the message before it, and the member that answered that."""
        card, sat = self.card, sat if before else ""
        number = card.members.index(sat) if sat in card.members else -1
        fast = self.fast.decide([message], [before], [number])
        shares, names, deep = fast.members.mixed, card.members, None
        if self._newcomers or float(shares.max()) < card.certain:
            deep = self.deep_logits(message, before, sat)
            shares, names = joined(shares, deep, card.shares), (*names, *self._newcomers)
        return Scores(
            scores=dict(zip(names, shares[0].tolist(), strict=True)),
            fast=fast,
            deep=None if deep is None else dict(zip(names, deep[0].softmax(-1).tolist(), strict=True)),
        )

    def deep_logits(self, message: str, before: str = "", sat: str = "") -> "Tensor":
        """Return what the deep stage thinks alone, logits of members and newcomers, [1, members]."""
        with self._lock:
            states = self._reading().encode([message], [before], [sat])
            return self._deep.logits(states)

    def points(self, messages: Sequence[str]) -> "tuple[Tensor, Tensor]":
        """Return where messages and members lie in the deep stage's space, [messages and members, directions]."""
        with self._lock:
            states = self._reading().encode(messages)
            return self._deep.points(states), self._deep.centres

    def _reading(self) -> StateEncoder:
        """Return what reads requests; the first time, newcomers' examples are read."""
        if self._states is None:
            self._states = StateEncoder(self._encoder, self.card.depth)
            for examples in self._newcomers.values():
                self._deep = self._deep.with_member(self._states.encode(examples))
        return self._states


def _stages(file: RouterTensors, encoder: Base) -> tuple[FastStage, DeepPath]:
    """Put both stages together. Raises `BadSettings` where tensors are missing or do not fit the card."""
    from tokenizers import Tokenizer

    card = file.card
    try:
        table = TokenTable.from_tensors(file.tensors)
        groups = max(card.group_of) + 1
        coarse = CoarseNetwork(len(card.members), groups, inputs=table.width, width=card.width, gate=card.gate)
        hybrid = Hybrid(card.group_of)
        for prefix, module in (("coarse.", coarse), ("hybrid.", hybrid)):
            own = {name.removeprefix(prefix): value for name, value in file.tensors.items() if name.startswith(prefix)}
            module.load_state_dict(own)
        fine, deep = FinePath.from_tensors(file.tensors), DeepPath.from_tensors(file.tensors)
    except (KeyError, RuntimeError) as error:
        raise BadSettings(f"the router's tensors do not fit its card: {str(error)[:200]}. Fit it anew.") from error
    reader = Reader(Tokenizer.from_file(str(encoder.path / "tokenizer.json")), table)
    return FastStage(reader=reader, fine=fine, coarse=coarse.eval(), hybrid=hybrid.eval()), deep


def joined(fast: "Tensor", deep: "Tensor", shares: tuple[float, float]) -> "Tensor":
    """Return the decision of both stages: the product of their probabilities, each to the power of its share.

    A newcomer, of whom the fast stage knows nothing, keeps the lead over the others that the deep stage gives it.

    Args:
        fast: probabilities of the fitted members, [requests, members].
        deep: logits of the fitted members and of newcomers behind them, [requests, members + newcomers].
        shares: of the fast and the deep stage.
    """
    fitted = fast.shape[-1]
    known = shares[0] * fast.clamp(min=1e-9).log() + shares[1] * deep[:, :fitted].log_softmax(-1)
    lead = shares[1] * (deep[:, fitted:] - deep[:, :fitted].amax(-1, keepdim=True))
    return torch.cat([known, known.amax(-1, keepdim=True) + lead], -1).softmax(-1)
