"""Between entries and rows: which table an entry belongs to, what its key is, and back."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, RowMapping, and_, inspect

from consilium.ledger.entries import (
    BesideEntry,
    ClosingEntry,
    DecisionEntry,
    Entry,
    MemberEntry,
    OutcomeEntry,
    SeatEntry,
    StatementEntry,
    TierEntry,
    TurnEntry,
    VerdictEntry,
)
from consilium.ledger.orm import DecisionRow, MemberRow, OutcomeRow, SeatRow, StatementRow, Table, TierRow, VerdictRow

EntryKind = TypeVar("EntryKind", bound=Entry | TurnEntry)

TABLES: Mapping[type[Entry], type[Table]] = {
    MemberEntry: MemberRow,
    SeatEntry: SeatRow,
    DecisionEntry: DecisionRow,
    StatementEntry: StatementRow,
    VerdictEntry: VerdictRow,
    OutcomeEntry: OutcomeRow,
    TierEntry: TierRow,
}
"""Entries that are inserted. A closing is an update of its turn."""


TEXTS = frozenset({"text", "error_message"})
"""Columns of entries that hold what people and members said; a turn's message is one too, and so are texts in its
options, see `options_kept`."""


def options_kept(options: Mapping[str, Any], redact: Callable[[str], str]) -> dict[str, Any]:
    """Return a turn's options without what may not be kept: what members are told and hear is as private as a message.

    Args:
        options: as `consilium.council.options.TurnOptions` writes them.
        redact: takes out of a text what may not be kept.
    """
    kept = dict(options)
    if kept.get("instructions") is not None:
        kept["instructions"] = redact(kept["instructions"])
    if "history" in kept:
        kept["history"] = [{**said, "content": redact(said["content"])} for said in kept["history"]]
    return kept


def values(entry: Entry) -> dict[str, Any]:
    """Return the entry as columns; a decision's seats are rows of their own."""
    columns = {field.name: getattr(entry, field.name) for field in fields(entry)}
    match entry:
        case DecisionEntry():
            columns.pop("seats")
            columns |= {"scores": dict(entry.scores), "propensities": dict(entry.propensities)}
            columns["beside"] = [asdict(other) for other in entry.beside]
        case VerdictEntry():
            columns["dissent"] = list(entry.dissent)
    return columns


def key_of(entry: Entry) -> ColumnElement[bool]:
    """Return the condition that finds the row standing under the entry's key."""
    mapper = inspect(TABLES[type(entry)])
    return and_(*(column == getattr(entry, column.name) for column in mapper.primary_key))


def entry_of(kind: type[EntryKind], row: RowMapping, **extra: object) -> EntryKind:
    """Return the entry that a row holds; ``extra`` are fields that lie in other tables."""
    names = {field.name for field in fields(kind)} - set(extra)
    columns: dict[str, Any] = {name: row[name] for name in names} | extra
    if kind is VerdictEntry:
        columns["dissent"] = tuple(columns["dissent"])
    return kind(**columns)


def decision_of(row: RowMapping, seats: Iterable[SeatEntry]) -> DecisionEntry:
    """Return a decision with its seats; a chair is not the router's choice."""
    beside = tuple(BesideEntry(**{**other, "members": tuple(other["members"])}) for other in row["beside"])
    return entry_of(DecisionEntry, row, seats=tuple(seat for seat in seats if seat.role == "speaker"), beside=beside)


def closing_of(row: RowMapping) -> ClosingEntry:
    """Return the closing that a turn's row holds."""
    return ClosingEntry(turn_id=row["id"], status=row["status"], closed_at=row["closed_at"])
