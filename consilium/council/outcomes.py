"""Outcomes: what came of a turn, said afterwards."""

import uuid
from typing import Literal, Required, TypeAlias

from typing_extensions import TypedDict

from consilium.errors import BadInput
from consilium.ledger.entries import OutcomeEntry

Source: TypeAlias = Literal["user", "judge", "metric", "script"]


class OutcomeOptions(TypedDict, total=False):
    """Keyword arguments of `Council.outcome`."""

    score: Required[float]
    """How good it was, in [0, 1]."""
    source: Source
    """Who says so; ``user`` unless said otherwise."""
    seat: int | None
    """Number of the seat; None scores the turn as a whole."""
    weight: float
    """How much it counts beside others, in (0, 1e9]; 1 unless said otherwise."""
    key: str | None
    """An outcome is recorded once for each key, and another one under it refused; without one it is a new outcome."""


def outcome_entry(
    turn_id: str,
    *,
    score: float,
    seat: int | None = None,
    source: Source = "user",
    weight: float = 1.0,
    key: str | None = None,
) -> OutcomeEntry:
    """Return the outcome to be recorded; without a key it is a new one.

    Raises:
        BadInput: the score is not a number in [0, 1], or the weight none in (0, 1e9].
    """
    if not 0 <= score <= 1:  # also false for NaN
        raise BadInput(f"score={score!r} is not in [0, 1]. Scale it.")
    if not 0 < weight <= 1e9:
        raise BadInput(f"weight={weight!r} is not in (0, 1e9]. Scale it.")
    return OutcomeEntry(
        key=key or uuid.uuid4().hex, turn_id=turn_id, seat=seat, score=score, source=source, weight=weight
    )
