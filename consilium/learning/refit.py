r"""Refitting: examples for a new router, drawn from scored turns by inverse propensity.

A seat that earned the credit ``phi_s`` of a turn whose outcome is ``r`` says that its member is right for the message,
with the weight::

    omega = r phi_s / mu(S | x)

for what the router seldom seats must count for more where it was seated. Weights are cut off at `LARGEST`, which trades
a little bias for much variance (Ionides 2008). Fitting knows no weights: as many examples as there are scored turns are
drawn in proportion to them (sampling-importance-resampling, Rubin 1988).
"""

from random import Random

from consilium.errors import BadRows
from consilium.learning.credit import shares
from consilium.learning.overlap import probability
from consilium.learning.scored import scored_turns
from consilium.ledger.protocol import Ledger
from consilium.members.catalogue import Catalogue
from consilium.routing.classifier import Example

LARGEST = 20.0
"""Of an inverse propensity."""


async def logged_examples(ledger: Ledger, catalogue: Catalogue, *, seed: int = 0) -> list[Example]:
    """Return examples drawn from the scored turns of a ledger, as many as those.

    Raises:
        BadRows: no scored turn credits a member of the catalogue.
    """
    weighed: list[tuple[Example, float]] = []
    count = 0
    async for turn in scored_turns(ledger):
        count += 1
        inverse = min(LARGEST, 1 / probability(turn.propensities, turn.seated))
        seats = {seat.number: seat for seat in turn.log.seats if seat.role == "speaker"}
        sat = turn.sat[0] if turn.sat else ""
        for number, share in shares(turn.log).items():
            if number in seats and seats[number].member in catalogue.members:
                example = Example(message=turn.log.turn.message, member=seats[number].member, sat=sat)
                weighed.append((example, turn.outcome * share * inverse))
    if not sum(weight for _, weight in weighed):
        raise BadRows(
            f"{count} scored turns credit no member of the catalogue. Record outcomes first: consilium outcome add."
        )
    examples, weights = zip(*weighed, strict=True)
    return Random(seed).choices(examples, weights, k=count)
