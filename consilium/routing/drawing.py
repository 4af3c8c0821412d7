"""Which examples a router is fitted on, and what each counts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from consilium.routing.classifier import Example

if TYPE_CHECKING:
    from torch import Tensor

MOST = 8.0
"""What one example may count at most, in units of what it would if all counted alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Examples, and how far each member is the right one for each, [examples, members]; rows sum to 1."""

    examples: Sequence[Example]
    targets: "Tensor"

    @property
    def messages(self) -> list[str]:
        """What is asked."""
        return [each.message for each in self.examples]

    @property
    def sources(self) -> list[str]:
        """Where each comes from."""
        return [each.source for each in self.examples]

    @property
    def labels(self) -> "Tensor":
        """The number of the likeliest member of each, [examples]."""
        return self.targets.argmax(-1)

    def at(self, places: "Tensor") -> "Labelled":
        """Return those at these places."""
        return Labelled(examples=[self.examples[place] for place in places.tolist()], targets=self.targets[places])


def drawn(part: Labelled, count: int, seed: int) -> Labelled:
    """Return so many, see `balanced`."""
    return part.at(balanced(part.labels, part.sources, count, seed))


def once(part: Labelled) -> Labelled:
    """Return the same with each message once."""
    return part.at(torch.tensor(list({message: place for place, message in enumerate(part.messages)}.values())))


def balanced(labels: "Tensor", sources: Sequence[str], count: int, seed: int = 0) -> "Tensor":
    """Return places of so many labels, drawn at random, [count]: as many of each kind, as far as there are.

    And among those of a kind as many of its own, whose source is empty, as from all other sources, and as many from
    each of them. What is drawn of one does not hang on the others, so that a fit on more examples reads little anew.
    """
    turns = torch.empty_like(labels)
    for kind in torch.unique(labels):
        own = (labels == kind).nonzero().squeeze(1)
        turns[own] = _turns([sources[place] for place in own.tolist()], seed)
    return turns.argsort(stable=True)[:count]


def balancing(part: Labelled) -> "Tensor":
    """Return what each example has to count, [examples], that all of them count as those that `balanced` draws do.

    1 in the mean, were it not that none counts more than `MOST`.
    """
    pairs = list(zip(part.labels.tolist(), part.sources, strict=True))
    counts = {member: Counter(source for other, source in pairs if other == member) for member in dict(pairs)}
    shares = {member: _shares(list(of_sources)) for member, of_sources in counts.items()}
    found = torch.tensor([shares[member][source] / counts[member][source] for member, source in pairs])
    return (found * len(pairs) / len(counts)).clamp(max=MOST)


def _shares(sources: Sequence[str]) -> dict[str, float]:
    """Return what a member's sources count, 1 together: half that without a name, where there are others."""
    others = sum(source != "" for source in sources)
    parts = {source: 1 if source else max(others, 1) for source in sources}
    return {source: part / sum(parts.values()) for source, part in parts.items()}


def _turns(sources: Sequence[str], seed: int) -> "Tensor":
    """Return when each of a kind's examples is drawn, [examples]."""
    others = len({*sources} - {""})
    turns = torch.empty(len(sources), dtype=torch.long)
    for source in dict.fromkeys(sources):
        places = torch.tensor([place for place, each in enumerate(sources) if each == source])
        order = torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))
        turns[places] = order if source else order // max(others, 1)
    return turns.argsort(stable=True).argsort()
