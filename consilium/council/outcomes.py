"""Outcomes: what came of a turn, said afterwards."""

import uuid
from typing import Literal, TypeAlias

from consilium.errors import BadInput
from consilium.ledger.entries import OutcomeEntry

Source: TypeAlias = Literal["user", "judge", "metric", "script"]


def outcome_entry(turn_id: str, *, score: float, seat: int | None, source: Source, key: str | None) -> OutcomeEntry:
    """Return the outcome to be recorded; without a key it is a new one.

    Raises:
        BadInput: the score is not a number in [0, 1].
    """
    if not 0 <= score <= 1:  # also false for NaN
        raise BadInput(f"score={score!r} is not in [0, 1]. Scale it.")
    return OutcomeEntry(key=key or uuid.uuid4().hex, turn_id=turn_id, seat=seat, score=score, source=source)
