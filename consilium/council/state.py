"""What travels through the graph of a turn: JSON primitives only, checked by pydantic where they are read back."""

from typing import Annotated, Any, TypeAlias

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from consilium.council.options import TurnOptions
from consilium.deliberation.opinion import Conclusion
from consilium.ledger.entries import DecisionEntry, SeatEntry, StatementEntry, TurnEntry, VerdictEntry

Json: TypeAlias = dict[str, Any]

TURN = TypeAdapter(TurnEntry)
DECISION = TypeAdapter(DecisionEntry)
SEAT = TypeAdapter(SeatEntry)
STATEMENT = TypeAdapter(StatementEntry)
CONCLUSION = TypeAdapter(Conclusion)
VERDICT = TypeAdapter(VerdictEntry)


def asked(turn: Json) -> TurnOptions:
    """Return what the caller asked for; it is recorded with the turn."""
    return TurnOptions.model_validate(turn["options"])


def by_seat(old: list[Json], new: list[Json]) -> list[Json]:
    """Reduce statements that arrive in any order; one a seat, in the order of the seats.

    >>> by_seat([{"seat": 1}], [{"seat": 0}, {"seat": 1}])
    [{'seat': 0}, {'seat': 1}]
    """
    merged = {statement["seat"]: statement for statement in [*old, *new]}
    return [merged[seat] for seat in sorted(merged)]


class TurnState(TypedDict, total=False):
    """The state of one turn; each node writes its own keys and reads those of earlier nodes."""

    turn: Json
    """The admitted `TurnEntry`."""
    history: list[Json]
    """The session's earlier messages and verdicts, ``{"role", "content"}``, oldest first."""
    sat: list[str]
    """Who sat in the turn before, the first of them first."""
    decision: Json
    """`DecisionEntry`, written by route."""
    statements: Annotated[list[Json], by_seat]
    """`StatementEntry` of every seat that was heard, written by speak."""
    conclusion: Json | None
    """`Conclusion`, written by deliberate; None where nobody made a statement."""
    deliberated_by: str
    """The method that was carried out, written by deliberate."""
    verdict: Json | None
    """`VerdictEntry`, worded by conclude; None where nobody made a statement. Record puts the one that stands."""


class SeatTask(TypedDict):
    """What one speak node is sent."""

    turn: Json
    history: list[Json]
    seat: Json
    """`SeatEntry`."""
