"""What a seat may lose: how much likelier the best member would find the reference than the one that sits.

Whoever is likeliest to be right is not always whom to seat. A member that speaks in a form of its own is far off
wherever it is wrong, and another loses little; the seat with the least expected regret is Bayes's decision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Self

import torch

from consilium.routing.selection import LEAST_GAIN

if TYPE_CHECKING:
    from torch import Tensor

MOST = 8.0
"""Nats a token that one row may count: what lies beyond is as wrong as wrong can be."""
LOST = 0.01
"""Share of the requests that may lose their right member to caution."""
ODDS = tuple(2 ** (step / 2) for step in range(15))
"""Of which caution is chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Rows whose reference every member has heard."""

    members: "Tensor"
    """Whose kind of work each is, [rows]."""
    sources: Sequence[str]
    """Where each comes from: of a kind of work, each source counts as much as another."""
    nats: "Tensor"
    """How likely each member finds the reference, in nats a token, [rows, members]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regret:
    """Mean regret of each member at each member's kind of work; the fallback's is what is nobody's."""

    means: "Tensor"
    """Of the second where the work is the first's, in nats a token, [members, members]."""
    fallback: "Tensor"
    """Place of the member whose kind of work is nobody's, []; -1 where there is none."""
    caution: "Tensor"
    """How much likelier it is taken to be nobody's work than the scores say, in odds, []: they know little of what they
    were not fitted on, and a member that speaks where it should not loses more than the fallback does. It is weighed on
    requests that come first; most of what is said after an answer is for a member."""

    @classmethod
    def alike(cls, members: int) -> Self:
        """Return what is known where nobody was heard: one wrong member loses as much as another."""
        return cls(means=1 - torch.eye(members), fallback=torch.tensor(-1), caution=torch.tensor(1.0))

    @classmethod
    def fit(cls, heard: Heard, fallback: int | None) -> Self:
        """Fit, without caution.

        At work of members for which nobody was heard, each is taken to lose what it does elsewhere.

        Args:
            heard: what was heard.
            fallback: place of the member whose kind of work is nobody's, if there is one.
        """
        lost = (heard.nats.amax(-1, keepdim=True) - heard.nats).clamp(max=MOST)
        means = torch.full((lost.shape[-1], lost.shape[-1]), torch.nan)
        for member in torch.unique(heard.members).tolist():
            of_each: dict[str, list[Tensor]] = {}
            for place in (heard.members == member).nonzero().squeeze(1).tolist():
                of_each.setdefault(heard.sources[place], []).append(lost[place])
            means[member] = torch.stack([torch.stack(part).mean(0) for part in of_each.values()]).mean(0)
        known = fallback is not None and bool((heard.members == fallback).any())
        return replace(cls.alike(len(means)), means=_whole(means), fallback=torch.tensor(fallback if known else -1))

    def expected(self, scores: "Tensor", *, caution: bool = True) -> "Tensor":
        """Return what seating each member is expected to lose, in nats a token, [requests, members].

        Args:
            scores: how likely each member is the right one, [requests, members]; newcomers, at whose work nobody was
                heard, come last.
            caution: whether to raise the odds that it is nobody's work.
        """
        odds = torch.ones(scores.shape[-1])
        if caution and self.fallback >= 0:
            odds[self.fallback] = self.caution
        weighed = scores * odds
        return weighed / weighed.sum(-1, keepdim=True) @ _grown(self.means, scores.shape[-1])

    def cautious(self, scores: "Tensor", right: "Tensor") -> Self:
        """Return the same with as much caution as costs at most a share `LOST` of the requests their right member.

        Args:
            scores: of requests that nothing was fitted on, [requests, members].
            right: the right member of each, [requests].
        """
        tried = [replace(self, caution=torch.tensor(odds)) for odds in ODDS]
        found = [each.first(scores) == right for each in tried]
        return [each for each, hits in zip(tried, found, strict=True) if (found[0] & ~hits).float().mean() <= LOST][-1]

    def first(self, scores: "Tensor") -> "Tensor":
        """Return whose seat comes first where the caller sets no limits, as `Selection` decides, [requests]."""
        lost = self.expected(scores)
        first = lost.argmin(-1)
        if self.fallback < 0:
            return first
        return torch.where(lost.amin(-1) <= (1 - LEAST_GAIN) * lost[:, self.fallback], first, self.fallback)

    def tensors(self) -> "dict[str, Tensor]":
        """Return what a file keeps."""
        return {f"regret.{field.name}": getattr(self, field.name).contiguous() for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: "Mapping[str, Tensor]") -> Self:
        """Return what a file kept. Raises KeyError where it has none."""
        return cls(**{field.name: tensors[f"regret.{field.name}"] for field in fields(cls)})


def _grown(means: "Tensor", size: int) -> "Tensor":
    """Return mean regrets with newcomers at the end."""
    more = size - len(means)
    return _whole(torch.nn.functional.pad(means, (0, more, 0, more), value=torch.nan)) if more else means


def _whole(means: "Tensor") -> "Tensor":
    """Return mean regrets with what is not known, nan, as it is for others.

    Who is right loses nothing; who is wrong what others do at the same work, or, where nobody was heard at it, what it
    does elsewhere.
    """
    own = torch.eye(len(means), dtype=torch.bool)
    wrong = means.masked_fill(own, torch.nan)
    at_work, elsewhere = wrong.nanmean(1, keepdim=True).expand_as(means), wrong.nanmean(0).expand_as(means)
    guessed = torch.where(at_work.isnan(), elsewhere, at_work).nan_to_num(float(wrong.nanmean().nan_to_num(1.0)))
    return torch.where(means.isnan(), guessed.masked_fill(own, 0.0), means)
