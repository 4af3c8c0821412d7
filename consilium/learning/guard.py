"""The guard: whether what was learned still earns its place beside the static router."""

from collections.abc import Sequence

from consilium.errors import BadInput
from consilium.learning.off_policy import difference
from consilium.learning.scored import Scored, logged

RECENT = 300
"""Newest turns, of which the scored ones are looked at: where fewer than one in six is, they are too few to act on."""
LEAST_TURNS = 50
"""Of them, turns that the learner decided, below which it is given the benefit of the doubt."""


def loses(turns: Sequence[Scored], static_digest: str) -> bool:
    """Say whether the static router would have done better on the recent turns that the learner decided.

    It loses where the doubly robust estimate puts the static router above what happened, with the whole interval.
    Switched off, it is tried again once fewer than `LEAST_TURNS` turns of its own are among the recent ones: by then it
    has learned from all that the static router decided.
    """
    own, static = [], []
    for turn in turns[-RECENT:]:
        decision = turn.log.decision
        for other in decision.beside if decision else ():
            if other.router_digest == static_digest:
                own.append(turn)
                static.append(other.propensities)
    if len(own) < LEAST_TURNS:
        return False
    try:
        acted = logged(own, [turn.propensities for turn in own])
        return difference(acted, logged(own, static), "dr").low > 0
    except BadInput:  # a static router that leaves several seats to chance cannot be judged
        return False
