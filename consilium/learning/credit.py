r"""Credit: a turn's outcome shared among its seats.

An outcome of score ``r`` and weight ``w`` is one observation, however many seats sat. Each seat gets its score with a
share ``phi`` of its weight::

    phi_s = kappa [s is the verdict's source] + (1 - kappa) v_s / sum_j v_j

``v_s`` says how far seat ``s`` stands behind the verdict. By ballots it is the seat's weight, and 0 where it dissents
or failed. Where likelihoods are at hand it is what the verdict loses without the seat, leave-one-out::

    v_s = max(0, log p(verdict | all statements) - log p(verdict | all but s))

in nats, under the member that wrote the verdict. Where nobody stands behind the verdict its source gets the whole
credit. An outcome of one seat is that seat's alone. What a dissenter said was never tried, so that it learns nothing
from the turn.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from consilium.deliberation.chair import chair_messages
from consilium.deliberation.opinion import Opinion
from consilium.engines.protocol import Continuation, Engine
from consilium.ledger.entries import SeatEntry, TurnLog
from consilium.members.catalogue import Catalogue

SOURCE_SHARE = 0.5
"""kappa: the part of the credit that goes to whoever worded the verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """What one outcome says of one seat."""

    outcome: str
    """Key of the outcome."""
    seat: int
    content_name: str
    """Which adapter exactly sat there."""
    member: str
    score: float
    weight: float
    """The seat's share of the outcome's weight."""


def credits(log: TurnLog, carried: Mapping[int, float] | None = None) -> tuple[Credit, ...]:
    """Share every outcome of a turn among its seats; seats without a share are left out.

    Args:
        log: the turn.
        carried: by seat, how far it carried the verdict, see `leave_one_out`; None counts ballots.
    """
    shares_of_turn = shares(log, carried)
    seats = {seat.number: seat for seat in log.seats}
    return tuple(
        Credit(
            outcome=outcome.key,
            seat=number,
            content_name=seats[number].content_name,
            member=seats[number].member,
            score=outcome.score,
            weight=outcome.weight * share,
        )
        for outcome in log.outcomes
        for number, share in (shares_of_turn if outcome.seat is None else {outcome.seat: 1.0}).items()
    )


def shares(log: TurnLog, carried: Mapping[int, float] | None = None) -> dict[int, float]:
    """Return each seat's share of an outcome of the whole turn; they sum to 1, and none is 0.

    A turn without a verdict has nobody to credit.
    """
    if log.verdict is None:
        return {}
    source = log.verdict.source_seat
    behind = (
        _ballots(log, log.verdict.dissent)
        if carried is None
        else {seat: max(0.0, gain) for seat, gain in carried.items()}
    )
    total = sum(behind.values())
    if total <= 0:
        return {source: 1.0}
    found = {seat: (1 - SOURCE_SHARE) * (value / total) for seat, value in behind.items()}
    found[source] = found.get(source, 0.0) + SOURCE_SHARE
    return {seat: share for seat, share in sorted(found.items()) if share > 0}


async def leave_one_out(log: TurnLog, engine: Engine, catalogue: Catalogue) -> dict[int, float] | None:
    """Return how much likelier, in nats, the verdict is with each seat's statement than without it.

    It costs one likelihood more than there are seats. None where no chair composed the verdict: the words of a seat do
    not depend on what others said.

    Raises:
        EngineError: the engine failed.
    """
    if log.verdict is None:
        return None
    seats = {seat.number: seat for seat in log.seats}
    chair = seats[log.verdict.source_seat]
    if chair.role != "chair":
        return None
    opinions = _opinions(log, seats)
    kept = [opinions, *([other for other in opinions if other is not left_out] for left_out in opinions)]
    prompt = catalogue.get(chair.member).persona.system_prompt
    found = await engine.likelihood(
        [
            Continuation(
                member=chair.member, messages=chair_messages(prompt, log.turn.message, part), text=log.verdict.text
            )
            for part in kept
        ]
    )
    whole, *without = (each.log_probability for each in found)
    return {opinion.seat: whole - other for opinion, other in zip(opinions, without, strict=True)}


def _ballots(log: TurnLog, dissent: Collection[int]) -> dict[int, float]:
    """Return the weights of the speakers that do not dissent; 1 each where all weigh nothing."""
    spoke = {statement.seat for statement in log.statements if statement.error is None}
    behind = {
        seat.number: seat.weight
        for seat in log.seats
        if seat.role == "speaker" and seat.number in spoke and seat.number not in dissent
    }
    return behind if any(behind.values()) else dict.fromkeys(behind, 1.0)


def _opinions(log: TurnLog, seats: Mapping[int, SeatEntry]) -> list[Opinion]:
    return [
        Opinion(seat=said.seat, member=seats[said.seat].member, weight=seats[said.seat].weight, text=said.text)
        for said in log.statements
        if said.error is None and seats[said.seat].role == "speaker"
    ]
