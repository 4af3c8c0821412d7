"""Two routers on the same logged turns: what each would be worth, and by how much one is above the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from consilium.learning.off_policy import Estimate, Logged, Method, check_overlap, difference, estimate
from consilium.learning.scored import Scored, logged, scored_turns
from consilium.ledger.protocol import Ledger
from consilium.routing.protocol import Request, Router

METHODS: tuple[Method, ...] = ("ips", "snips", "dr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What one router's turns would be worth."""

    effective: float
    """So many turns of its own would tell as much."""
    estimates: Mapping[Method, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two routers on the same turns."""

    turns: int
    mean: float
    """Outcome of the turns as they were decided."""
    routers: Mapping[str, Worth]
    gains: Mapping[Method, Estimate]
    """By how much the second is above the first."""


async def compare(
    ledger: Ledger,
    routers: Mapping[str, Router | None],
    request: Callable[[Scored], Request],
    *,
    since: datetime | None = None,
    on_done: Callable[[int, int], None] = lambda _done, _total: None,
) -> Comparison:
    """Let two routers decide on the ledger's scored turns, and estimate what that would have been worth.

    Args:
        ledger: whose turns, with the propensities of whoever decided them.
        routers: two, by name; None is whoever decided.
        request: what a turn asked of its router.
        since: only turns admitted from then on.
        on_done: told how many decisions were made, of how many.

    Raises:
        ThinOverlap: the turns say too little of one of the routers.
    """
    turns = [turn async for turn in scored_turns(ledger, since=since)]
    of_router: dict[str, Logged] = {}
    done = 0
    for name, router in routers.items():
        targets: list[Mapping[str, float]] = []
        for turn in turns:
            targets.append(turn.propensities if router is None else (await router.route(request(turn))).propensities)
            done += 1
            on_done(done, len(turns) * len(routers))
        of_router[name] = logged(turns, targets)
    return judged(of_router, turns)


def judged(of_router: Mapping[str, Logged], turns: Sequence[Scored]) -> Comparison:
    """Return the estimates for two routers. Raises `ThinOverlap`."""
    for name, found in of_router.items():
        check_overlap(found, repr(name))
    first, second = of_router.values()
    return Comparison(
        turns=len(turns),
        mean=float(first.outcomes.mean()),
        routers={
            name: Worth(effective=found.effective, estimates={method: estimate(found, method) for method in METHODS})
            for name, found in of_router.items()
        },
        gains={method: difference(first, second, method) for method in METHODS},
    )
