"""The cascade: a fast stage that is mostly sure, and a deep one for where it is not."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch

from consilium.engines.embedded.deltas import Delta
from consilium.errors import BadSettings
from consilium.members.base import Base
from consilium.routing.addressed import ordinary, without_addresses
from consilium.routing.deep import DeepPath, StateEncoder
from consilium.routing.fine import FinePath
from consilium.routing.hybrid import Found, Hybrid
from consilium.routing.network import CoarseNetwork
from consilium.routing.reading import Reader
from consilium.routing.regret import Regret
from consilium.routing.router_file import RouterTensors
from consilium.routing.table import TokenTable
from consilium.routing.tuning import from_tensors

if TYPE_CHECKING:
    from torch import Tensor

    Read: TypeAlias = Callable[[Sequence[str]], Tensor]
    """Returns the states of messages, [messages, states, hidden]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FastStage:
    """What decides without a language model: two paths and their mixture."""

    reader: Reader
    fine: FinePath
    coarse: CoarseNetwork
    hybrid: Hybrid

    def decide(self, messages: Sequence[str]) -> Found:
        """Return how likely each member is, by either path and by both."""
        with torch.inference_mode():
            found: Found = self.hybrid(*self.logits(messages))
        return found

    def logits(self, messages: Sequence[str]) -> "tuple[Tensor, Tensor, Tensor]":
        """Return logits of both paths: members by the fine one, groups and members by the coarse one.

        Each [requests, choices].
        """
        with torch.no_grad():
            groups, members = self.coarse(self.reader.batch([self.reader.read(message) for message in messages]))
        return self.fine.logits(messages), groups, members

    def tensors(self) -> "dict[str, Tensor]":
        """Return what a file keeps."""
        parts = {"coarse": self.coarse, "hybrid": self.hybrid}
        state = {f"{part}.{name}": value for part, net in parts.items() for name, value in net.state_dict().items()}
        return {**self.reader.table.tensors(), **self.fine.tensors(), **state}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the deep stage makes of a message."""

    logits: "Tensor"
    """Of members and newcomers, [1, members]."""
    staying: "Tensor"
    """How likely the message leaves it with whoever has just answered, [1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How likely each member is the right one for a request, and what each stage found."""

    scores: dict[str, float]
    fast: Found
    """Of the fitted members alone."""
    deep: dict[str, float] | None
    """What the deep stage thinks alone; None where it was not asked."""
    regrets: dict[str, float]
    """What seating each member is expected to lose, in nats a token where members were heard, see `Regret`."""
    stay: float = 0.0
    """How likely the message leaves it with whoever has just answered."""


class Cascade:
    """Asks the fast stage, and both where that is not sure enough; with newcomers, and in a conversation, both.

    Only the deep stage can tell whether a message such as "shorter, please" leaves it with whoever has just answered.

    Args:
        file: a fitted router.
        encoder: the base that it reads with.
        newcomers: members that it was not fitted on, by name, and example requests of each.
        read: reads messages in the encoder's place, so that several routers can share what was read once.

    Raises:
        BadSettings: the router reads with another base, or its tensors do not fit its card.
    """

    def __init__(
        self,
        file: RouterTensors,
        encoder: Base,
        newcomers: Mapping[str, Sequence[str]] | None = None,
        read: "Read | None" = None,
    ) -> None:
        if file.card.encoder != encoder.name:
            raise BadSettings(
                f"the router reads with {file.card.encoder!r}, not with {encoder.name!r}. Fit it anew on that base."
            )
        self.card = file.card
        self._fallback = file.card.members.index(file.card.fallback) if file.card.fallback else None
        self.fast, self._deep, self._regret, self._adapter = _parts(file, encoder)
        self._newcomers = dict(newcomers or {})
        self._names = (*self.card.members, *self._newcomers)
        words = {*self.card.ordinary, *ordinary(self._newcomers)}
        self._called = [name for name in self._names if name not in words]
        self._encoder = encoder
        self._given = read
        self._states: Read | None = None
        self._lock = threading.Lock()

    def scores(self, message: str, sat: str = "") -> Scores:
        """Return what is thought of a message, as it is `read`, after whoever has just answered; empty for nobody."""
        message = self.read(message)
        card, fast = self.card, self.fast.decide([message])
        shares, names = fast.members.mixed, self._names
        if not (self._newcomers or sat in names) and float(shares.max()) >= card.certain:
            return Scores(
                scores=self._named(shares), fast=fast, deep=None, regrets=self._named(self._regret.expected(shares))
            )
        seen = self.look(message)
        scores = joined(shares, seen.logits, card.shares, self._fallback).softmax(-1)
        stay = 0.0
        if sat in names:
            stay, there = float(seen.staying), torch.eye(len(names))[[names.index(sat)]]
            scores = (1 - stay) * scores + stay * there
        regrets = self._regret.expected(scores, caution=sat not in names)
        return Scores(
            scores=self._named(scores),
            fast=fast,
            deep=self._named(seen.logits.softmax(-1)),
            regrets=self._named(regrets),
            stay=stay,
        )

    def read(self, message: str) -> str:
        """Return what is read of a message: all but what names a member."""
        return without_addresses(message, self._called)

    def look(self, message: str) -> Seen:
        """Return what the deep stage alone makes of a message, as it is `read`."""
        with self._lock:
            states = self._reading()([message])
            return Seen(logits=self._deep.logits(states), staying=self._deep.staying(states))

    def _named(self, row: "Tensor") -> dict[str, float]:
        """Return what is known of each member, [1, members], by name."""
        return dict(zip(self._names, row[0].tolist(), strict=True))

    def points(self, messages: Sequence[str]) -> "tuple[Tensor, Tensor]":
        """Return where messages and members lie in the deep stage's space, [messages and members, directions]."""
        with self._lock:
            states = self._reading()(messages)
            return self._deep.points(states), self._deep.centres

    def _reading(self) -> "Read":
        """Return what reads requests; the first time, newcomers' examples are read."""
        if self._states is None:
            states = self._given or StateEncoder(self._encoder, self.card.depth, self._adapter).encode
            deep = self._deep
            for examples in self._newcomers.values():
                deep = deep.with_member(states(examples))
            self._deep, self._states = deep, states
        return self._states


def _parts(file: RouterTensors, encoder: Base) -> tuple[FastStage, DeepPath, Regret, Delta | None]:
    """Put the parts together. Raises `BadSettings` where tensors are missing or do not fit the card."""
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
        regret, adapter = Regret.from_tensors(file.tensors), from_tensors(file.tensors, card.depth)
        reader = Reader(Tokenizer.from_file(str(encoder.path / "tokenizer.json")), table)
        stage = FastStage(reader=reader, fine=fine, coarse=coarse.eval(), hybrid=hybrid.eval())
        _try_out(stage, deep, regret, card.shares)
    except (KeyError, RuntimeError, AssertionError) as error:
        raise BadSettings(f"the router's tensors do not fit its card: {str(error)[:200]}. Fit it anew.") from error
    return stage, deep, regret, adapter


def _try_out(stage: FastStage, deep: DeepPath, regret: Regret, shares: tuple[float, float]) -> None:
    """Decide once, on states of nothing. Raises RuntimeError where sizes do not go together."""
    states = torch.zeros(1, *deep.mean.shape)
    scores = joined(stage.decide(["?"]).members.mixed, deep.logits(states), shares).softmax(-1)
    deep.staying(states)
    deep.references.float() @ (deep.centres + deep.weights).T  # what members that are added would need
    if (lost := regret.expected(scores)).shape != scores.shape:
        raise RuntimeError(f"regrets {tuple(lost.shape)} for scores {tuple(scores.shape)}")


def joined(
    fast: "Tensor", deep: "Tensor", shares: "tuple[float, float] | Tensor", fallback: int | None = None
) -> "Tensor":
    """Return logits of both stages' decision, the product of their probabilities, each to the power of its share.

    The fast stage has learned members' requests alone, and is surer than it should be of what is nobody's: it counts by
    how likely the deep one, which was told of that, finds that a request is somebody's. A newcomer, of whom the fast
    stage knows nothing, keeps the lead over the others that the deep stage gives it.

    Args:
        fast: probabilities of the fitted members, [requests, members].
        deep: logits of the fitted members and of newcomers behind them, [requests, members + newcomers].
        shares: of the fast and the deep stage.
        fallback: place of the member whose requests are nobody's; None where the deep stage was told of none.
    """
    fitted = fast.shape[-1]
    somebodys = 1 - deep.softmax(-1)[:, [fallback]] if fallback is not None else 1.0
    known = shares[0] * somebodys * fast.clamp(min=1e-9).log() + shares[1] * deep[:, :fitted].log_softmax(-1)
    lead = shares[1] * (deep[:, fitted:] - deep[:, :fitted].amax(-1, keepdim=True))
    return torch.cat([known, known.amax(-1, keepdim=True) + lead], -1)
