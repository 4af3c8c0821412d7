"""The hierarchical router: a fast stage that is mostly sure, and a deep one for where it is not."""

import asyncio
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from consilium.errors import BadSettings
from consilium.members.base import Base
from consilium.members.catalogue import Catalogue
from consilium.routing.deep import DeepPath, StateEncoder
from consilium.routing.fine import FinePath
from consilium.routing.hybrid import Found, Hybrid
from consilium.routing.network import CoarseNetwork
from consilium.routing.protocol import Decision, Request
from consilium.routing.reading import Reader
from consilium.routing.router_file import RouterTensors
from consilium.routing.selection import Selection
from consilium.routing.table import TokenTable
from consilium.threads import in_passing

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
        readings = [self.reader.read(*each) for each in zip(messages, before, sat, strict=True)]
        with torch.inference_mode():
            groups, members = self.coarse(self.reader.batch(readings))
            found: Found = self.hybrid(self.fine.logits(messages), groups, members)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """How a decision came about."""

    decision: Decision
    members: tuple[str, ...]
    """Those that the router was fitted for."""
    groups: tuple[str, ...]
    """Theirs, in the order of their numbers."""
    fast: Found
    """What the fast stage found, of these members and groups in this order."""
    trust: tuple[float, float]
    """How far groups and members follow the coarse path."""
    deep: dict[str, float] | None
    """What the deep stage thinks alone; None where it was not asked."""
    pulls: tuple[tuple[str, float], ...]
    """Words, and how much they speak for the likeliest member on the fine path, those that do most first."""
    prices: dict[str, float]
    """How likely a member must be to sit beside a likelier one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scores:
    """Of all members, and of each stage."""

    scores: dict[str, float]
    fast: Found
    deep: dict[str, float] | None


class HierarchicalRouter:
    """Scores members by the fast stage, and by both where that is not sure enough.

    Members of the catalogue that it was not fitted on are added by the examples in their personas; with any of them the
    deep stage is asked each time, for the fast one does not know them.

    Args:
        file: a fitted router.
        encoder: the base that it reads with.
        catalogue: the members that may sit.
        selection: how scores become seats.

    Raises:
        BadSettings: the router knows a member that the catalogue does not hold, or reads with another base.
    """

    def __init__(
        self, file: RouterTensors, encoder: Base, catalogue: Catalogue, selection: Selection | None = None
    ) -> None:
        card = file.card
        if strangers := [name for name in card.members if name not in catalogue.members]:
            raise BadSettings(
                f"the router was fitted for {strangers[0]!r}, which the catalogue does not hold. Fit it anew: "
                "consilium train router."
            )
        if card.encoder != encoder.name:
            raise BadSettings(
                f"the router reads with {card.encoder!r}, not with {encoder.name!r}. Fit it anew on that base."
            )
        self._file = file
        self._encoder = encoder
        self._catalogue = catalogue
        self._selection = selection or Selection()
        self._newcomers = [name for name in catalogue.members if name not in card.members]
        self._fast, self._deep = stages(file, encoder)
        self._states: StateEncoder | None = None
        self._lock = threading.Lock()

    def digest(self) -> str:
        """Return the sha256 over the file, the members that it does not know, and the selection."""
        parts = [self._file.digest, self._catalogue.fallback, str(self._selection)]
        for name in self._newcomers:
            parts += [name, *self._catalogue.get(name).persona.examples]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    async def route(self, request: Request) -> Decision:
        """Seat the likeliest members, or the fallback where nobody fits."""
        found = await asyncio.to_thread(in_passing, partial(self._found, request))
        return self._decision(found, request)

    async def explain(self, request: Request) -> Explanation:
        """Decide, and say how the decision came about."""
        found = await asyncio.to_thread(in_passing, partial(self._found, request))
        card = self._file.card
        first = max(found.scores, key=lambda name: found.scores[name])
        pulls = self._fast.fine.pulls(request.message, card.members.index(first)) if first in card.members else []
        groups = {
            number: self._catalogue.get(name).persona.group
            for name, number in zip(card.members, card.group_of, strict=True)
        }
        return Explanation(
            decision=self._decision(found, request),
            members=card.members,
            groups=tuple(groups[number] for number in sorted(groups)),
            fast=found.fast,
            trust=self._fast.hybrid.trust(),
            deep=found.deep,
            pulls=tuple(sorted(dict(pulls).items(), key=lambda pull: -pull[1])),
            prices={name: self._selection.price(name, self._catalogue) for name in self._catalogue.members},
        )

    def _found(self, request: Request) -> "_Scores":
        card = self._file.card
        before = request.history[-1] if request.history else ""
        sat = request.sat[0] if request.sat and before else ""
        number = card.members.index(sat) if sat in card.members else -1
        fast = self._fast.decide([request.message], [before], [number])
        shares, names, deep = fast.members.mixed, card.members, None
        if self._newcomers or float(shares.max()) < card.certain:
            deep = self._deep_logits(request.message, before, sat)
            shares, names = joined(shares, deep, card.shares), (*names, *self._newcomers)
        return _Scores(
            scores=dict(zip(names, shares[0].tolist(), strict=True)),
            fast=fast,
            deep=None if deep is None else dict(zip(names, deep[0].softmax(-1).tolist(), strict=True)),
        )

    def _decision(self, found: "_Scores", request: Request) -> Decision:
        scores = {name: found.scores[name] for name in self._catalogue.members}
        return self._selection.decide(scores, request, self._catalogue, router="hierarchical", digest=self.digest())

    def _deep_logits(self, message: str, before: str, sat: str) -> "Tensor":
        with self._lock:
            if self._states is None:
                self._states = StateEncoder(self._encoder, self._file.card.depth)
                for name in self._newcomers:
                    examples = self._catalogue.get(name).persona.examples
                    self._deep = self._deep.with_member(self._states.encode(examples))
            return self._deep.logits(self._states.encode([message], [before], [sat]))


def stages(file: RouterTensors, encoder: Base) -> tuple[FastStage, DeepPath]:
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
