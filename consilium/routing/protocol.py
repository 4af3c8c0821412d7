"""The `Router` seam, and the values that cross it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a router decides upon."""

    message: str
    """The user's message."""
    history: tuple[str, ...] = ()
    """The session's earlier messages, oldest first."""
    sat: tuple[str, ...] = ()
    """The members that sat in the turn before, the first of them first."""
    members: tuple[str, ...] = ()
    """The members that must sit, in this order; empty leaves the choice to the router."""
    seats: int
    """At most this many may sit."""
    min_seats: int = 1
    """At least this many sit, however unlikely they are."""
    must_sit: tuple[str, ...] = ()
    """Members that sit whatever the router thinks of them; it chooses who sits beside them."""
    must_not_sit: tuple[str, ...] = ()
    """Members that do not sit."""
    token_budget: int | None = None
    """The seats may speak so many tokens together, each as many as its persona says. Who must sit does, and somebody
    always, whatever that costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatChoice:
    """One member that is to sit."""

    member: str
    weight: float
    """Its share among the seated; the shares of a decision sum to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a router answered."""

    router: str
    digest: str
    """Of everything that the router's answers depend on, in hex; another digest is another router."""
    scores: Mapping[str, float]
    """For every member of the catalogue: the probability that it is the right one. They sum to 1."""
    seats: tuple[SeatChoice, ...]
    """The one that is trusted most first; never empty."""
    propensities: Mapping[str, float]
    """For every member: the probability with which this router seats it on this request. A router without chance
    answers 1 for the seated and 0 for the others."""
    abstained: bool
    """Whether nobody fitted, so that the bare base sits."""
    beside: tuple["Decision", ...] = ()
    """What other routers would have answered, by which nobody sits: recorded, so that they can be judged."""


class Router(Protocol):
    """Says who should sit, and how surely."""

    async def route(self, request: Request) -> Decision:
        """Decide on one request.

        Raises:
            UnknownMember: the request names a member that the catalogue does not hold.
            BadSettings: what the request limits leaves nobody, or contradicts itself.
        """
        ...

    def digest(self) -> str:
        """Return the digest that the router's decisions carry."""
        ...


def shares(scores: Mapping[str, float], members: Sequence[str]) -> tuple[SeatChoice, ...]:
    """Seat ``members`` with their scores scaled to sum to 1; equal shares where all are 0.

    >>> [(s.member, round(s.weight, 2)) for s in shares({"a": 0.6, "b": 0.2, "c": 0.2}, ["a", "b"])]
    [('a', 0.75), ('b', 0.25)]
    """
    total = sum(scores[name] for name in members)
    return tuple(
        SeatChoice(member=name, weight=scores[name] / total if total else 1 / len(members)) for name in members
    )


def certain(scores: Mapping[str, float], seats: Sequence[SeatChoice]) -> dict[str, float]:
    """Return the propensities of a router without chance: 1 for the seated, 0 for the others."""
    seated = {choice.member for choice in seats}
    return {name: float(name in seated) for name in scores}
