"""The deep stage: what the base itself makes of a request midway, and which member that points to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

from consilium.engines.embedded.deltas import Delta
from consilium.engines.embedded.prefixes import shared
from consilium.engines.embedded.states import StateReader
from consilium.engines.protocol import Message
from consilium.engines.tokens import Tokens
from consilium.errors import BadSettings, MissingExtra
from consilium.members.base import Base
from consilium.routing.reading import encodable

if TYPE_CHECKING:
    from torch import Tensor

QUESTION = "What kind of task does the user give you? Answer with the name of the task."
"""The system prompt under which requests are read: the state from which the answer would begin is about the task."""
DIRECTIONS = 200
"""In which states of different requests differ most, measured by how much those of one member's do."""
CHARACTERS = 1_600
"""Of a message that are read: as many from its beginning as from its end."""
LOST = 0.004
"""Share of the other members' requests, of those it is held to, that a member added later may take."""
REFERENCES = 300
"""Requests of each member that are kept to hold a newcomer to that."""
_FOLDS = 4
"""Parts of them, each of which is weighed by what was fitted on the others."""
_PENALTY = 1e-2
"""Of large weights (L2)."""
_STAY_PENALTY = 3e-2
"""The same, of those that tell follow-ups, of which few are known."""
_NEVER = -30.0
"""The logit of what does not happen."""
_KEPT = torch.float8_e4m3fn
"""What references are kept in: rounding is little beside how far one member's requests lie apart."""


class StateEncoder:
    """Maps requests to states of the base, float32, [requests, 2, hidden].

    That of the last token, from which the answer would begin, and the mean over the message's. Not safe to call from
    two threads at once.

    Args:
        base: the model.
        depth: how many of its layers read.
        adapter: through which they do, see `consilium.routing.tuning`; None for the bare base.
    """

    def __init__(self, base: Base, depth: int, adapter: Delta | None = None) -> None:
        self.depth, self.adapter = depth, adapter
        self._tokens = Tokens(base)
        empty, some = self._prompt(""), self._prompt("a")
        self.prefix = empty[: shared(empty, some)]
        """Token ids that every request stands behind."""
        own, others = empty[len(self.prefix) :], some[len(self.prefix) :]
        self.tail = shared(own[::-1], others[::-1])
        """Tokens at the end of every request that are not its own."""
        self._reader = StateReader(base, depth, self.prefix, self.tail, adapter)

    def encode(self, messages: Sequence[str]) -> "Tensor":
        """Return the states of messages."""
        return self._reader.read(self.rows(messages))

    def rows(self, messages: Sequence[str]) -> list[list[int]]:
        """Return the token ids of messages, behind the prefix."""
        return [self._prompt(message)[len(self.prefix) :] for message in messages]

    def _prompt(self, message: str) -> list[int]:
        return self._tokens.prompt(
            [Message(role="system", content=QUESTION), Message(role="user", content=_cut(message))]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepPath:
    """Logistic regression over whitened states, and what it takes to add a member without fitting it anew.

    A request has several states. Each kind is whitened and has a regression of its own; the mean of their logits is
    what counts. Fitted together, one kind would rely on what the other knows, and be lost where that is misled.

    A second regression tells messages that leave the conversation with whoever has just answered.
    """

    mean: "Tensor"
    """Of all states, [states, hidden]."""
    directions: "Tensor"
    """[states, hidden, directions / states]; along each, one member's requests have variance 1."""
    weights: "Tensor"
    """[members, directions]; newcomers come last."""
    bias: "Tensor"
    """[members]."""
    centres: "Tensor"
    """Mean of each member's requests, [members, directions]."""
    references: "Tensor"
    """Requests that newcomers leave to whose they are, float8, [references, directions]."""
    stay_weights: "Tensor"
    """[directions]."""
    stay_bias: "Tensor"
    """[]."""

    @classmethod
    def fit(
        cls, states: "Tensor", targets: "Tensor", stays: "Tensor | None" = None, directions: int = DIRECTIONS
    ) -> Self:
        """Fit.

        Args:
            states: of requests, [requests, states, hidden].
            targets: how far each member is the right one, [requests, members]; rows sum to 1. A member that is never
                the likeliest cannot be told from others later.
            stays: states of messages that leave it with whoever has just answered, [messages, states, hidden]; without
                them no message does.
            directions: how many to keep of each kind of state.

        Raises:
            MissingExtra: scikit-learn is not installed.
            BadSettings: fewer than two members are ever right.
        """
        labels = targets.argmax(-1)
        if len(torch.unique(labels)) < 2:
            raise BadSettings(
                "all requests are for one member: a router tells members apart. Give those of two at least."
            )
        mean = states.mean(0)
        projection = torch.stack(
            [_whitening(part, labels, targets.shape[-1], directions) for part in (states - mean).unbind(1)]
        )
        points = _points(states - mean, projection)
        fitted = [_regression(part, targets, _PENALTY) for part in torch.chunk(points, len(mean), -1)]
        weights = torch.cat([each for each, _ in fitted], -1) / len(fitted)
        bias = torch.stack([each for _, each in fitted]).mean(0)
        stay_weights, stay_bias = _telling(points[:0] if stays is None else _points(stays - mean, projection), points)
        return cls(
            mean=mean,
            directions=projection,
            weights=weights,
            bias=bias,
            centres=_means(points, labels, targets.shape[-1]),
            references=points[:0].to(_KEPT),
            stay_weights=stay_weights,
            stay_bias=stay_bias,
        )

    def read_anew(self, states: "Tensor", labels: "Tensor", stays: "Tensor | None" = None) -> Self:
        """Return the same for an encoder that was tuned under it, which puts requests elsewhere.

        What tells members apart is as it was; where they lie, and what tells follow-ups, is not.

        Args:
            states: of requests, as that one reads them, [requests, states, hidden].
            labels: the number of the right member of each, [requests].
            stays: as for `fit`.
        """
        points = self.points(states)
        stay_weights, stay_bias = _telling(points[:0] if stays is None else self.points(stays), points)
        centres = _means(points, labels, len(self.weights))
        return replace(self, centres=centres, stay_weights=stay_weights, stay_bias=stay_bias)

    def logits(self, states: "Tensor") -> "Tensor":
        """Return logits of the members, [requests, members], for states, [requests, states, hidden]."""
        return self._logits(self.points(states))

    def staying(self, states: "Tensor") -> "Tensor":
        """Return how likely messages leave it with whoever has just answered, [requests]."""
        return (self.points(states) @ self.stay_weights + self.stay_bias).sigmoid()

    def points(self, states: "Tensor") -> "Tensor":
        """Return where states, [requests, states, hidden], lie in the space that members are told apart in.

        [requests, directions]; along each, one member's requests have variance 1.
        """
        return _points(states - self.mean, self.directions)

    def _logits(self, points: "Tensor") -> "Tensor":
        return points @ self.weights.T + self.bias

    def held_to(self, states: "Tensor", labels: "Tensor") -> Self:
        """Return the same with requests that members added later are held to: the first of each, decided rightly.

        It should not have been fitted on them: it is surer of what it was fitted on than of what will be asked.

        Args:
            states: of requests, [requests, states, hidden].
            labels: the number of the right member of each, [requests].

        Raises:
            BadSettings: it decides none of them rightly.
        """
        points = self.points(states)
        right = self._logits(points).argmax(-1) == labels
        if not right.any():
            raise BadSettings(f"none of {len(labels)} requests to weigh by finds its member. Give more to learn from.")
        of_each = [(right & (labels == member)).nonzero().squeeze(1) for member in range(len(self.weights))]
        return replace(self, references=points[torch.cat([part[:REFERENCES] for part in of_each])].to(_KEPT))

    def with_member(self, states: "Tensor") -> Self:
        """Return the same, `held_to` some requests, with one member more, known by states of its own.

        Those are [requests, states, hidden].

        Its weights are those of a logistic regression of its requests against the references, by which the others'
        stay as they are. Its bias is what lets it take no more than `LOST` of the references.
        """
        own, others = self.points(states), self.references.float()
        part = torch.arange(len(others)) % _FOLDS
        leads = [
            others[part == fold] @ self._beside(own, others[part != fold]) - self._logits(others[part == fold]).amax(-1)
            for fold in range(_FOLDS)
        ]
        bias = -torch.quantile(torch.cat(leads), 1 - LOST)
        return replace(
            self,
            weights=torch.cat([self.weights, self._beside(own, others)[None]]),
            bias=torch.cat([self.bias, bias[None]]),
            centres=torch.cat([self.centres, own.mean(0, keepdim=True)]),
            references=torch.cat([others, own]).to(_KEPT),
        )

    def _beside(self, own: "Tensor", others: "Tensor") -> "Tensor":
        """Return a newcomer's weights, [directions]: its own points, together, count as much as those of one member."""
        points = torch.cat([others, own]).double()
        known = (points @ self.weights.double().T + self.bias).logsumexp(-1)
        wanted = torch.arange(len(points)) >= len(others)
        counts = torch.where(wanted, len(others) / len(self.weights) / len(own), 1.0)
        weights = torch.zeros(points.shape[-1], dtype=points.dtype, requires_grad=True)
        bias = torch.zeros((), dtype=points.dtype, requires_grad=True)

        def loss() -> "Tensor":
            lead = points @ weights + bias - known
            lost = torch.nn.functional.binary_cross_entropy_with_logits(lead, wanted.double(), counts)
            return lost + _PENALTY * weights.square().sum()

        _minimise(loss, [weights, bias])
        return weights.detach().float()

    def tensors(self) -> "dict[str, Tensor]":
        """Return what a file keeps."""
        return {f"deep.{field.name}": getattr(self, field.name).contiguous() for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: "Mapping[str, Tensor]") -> Self:
        """Return what a file kept. Raises KeyError where it has none."""
        return cls(**{field.name: tensors[f"deep.{field.name}"] for field in fields(cls)})


def _points(centred: "Tensor", directions: "Tensor") -> "Tensor":
    """Return centred states, [requests, states, hidden], along the directions, [requests, directions]."""
    return torch.einsum("rsh,shd->rsd", centred, directions).flatten(1)


def _whitening(centred: "Tensor", labels: "Tensor", members: int, directions: int) -> "Tensor":
    """Return the directions in which states of one kind differ most, in units of how much those of one member's do.

    [hidden, directions], of states [requests, hidden].
    """
    try:
        from sklearn.covariance import ledoit_wolf
    except ImportError as error:
        raise MissingExtra("fitting a router needs scikit-learn: pip install 'consilium[eval]'") from error
    own = _means(centred, labels, members)
    covariance, _ = ledoit_wolf((centred - own[labels]).double().numpy(), assume_centered=True)
    spread, axes = np.linalg.eigh(covariance)
    whitening = torch.from_numpy(axes / np.sqrt(spread)).float()
    _, _, found = torch.linalg.svd(centred @ whitening, full_matrices=False)
    projection: Tensor = whitening @ found[:directions].T
    return projection


def _means(points: "Tensor", labels: "Tensor", members: int) -> "Tensor":
    """Return the mean of each member's points; a member without any lies in the middle."""
    sums = torch.zeros(members, points.shape[-1]).index_add(0, labels, points)
    return sums / torch.bincount(labels, minlength=members).clamp(min=1)[:, None]


def _telling(stays: "Tensor", others: "Tensor") -> "tuple[Tensor, Tensor]":
    """Return weights, [directions], and bias, [], by which points that stay are told from others, at even odds."""
    if not len(stays):
        return torch.zeros(others.shape[-1]), torch.tensor(_NEVER)
    repeated = stays.repeat(len(others) // len(stays) + 1, 1)
    labels = torch.cat([torch.zeros(len(others)), torch.ones(len(repeated))]).long()
    weights, bias = _regression(torch.cat([others, repeated]), torch.eye(2)[labels], _STAY_PENALTY)
    return weights[1] - weights[0], bias[1] - bias[0]


def _regression(points: "Tensor", targets: "Tensor", penalty: float) -> "tuple[Tensor, Tensor]":
    """Return weights, [members, directions], and bias, [members], of logistic regression on soft targets."""
    weights = torch.zeros(targets.shape[-1], points.shape[-1], requires_grad=True)
    bias = torch.zeros(targets.shape[-1], requires_grad=True)

    def loss() -> "Tensor":
        logits = points @ weights.T + bias
        return -(targets * logits.log_softmax(-1)).sum(-1).mean() + penalty * weights.square().sum()

    _minimise(loss, [weights, bias])
    return weights.detach(), bias.detach()


def _minimise(loss: "Callable[[], Tensor]", parameters: "Sequence[Tensor]") -> None:
    optimiser = torch.optim.LBFGS(parameters, max_iter=200, line_search_fn="strong_wolfe")

    def lost() -> float:
        optimiser.zero_grad()
        found = loss()
        found.backward()
        return float(found.detach())

    optimiser.step(lost)


def _cut(text: str) -> str:
    text = encodable(text).strip()  # so that its first token is never one with the template's last
    return text if len(text) <= CHARACTERS else f"{text[: CHARACTERS // 2]} … {text[-CHARACTERS // 2 :]}"
