"""Recording what several calls wait to record: a statement of SQL a table, not one an entry.

Putting a statement to the database costs more than the row that it writes. Where every key is new, which is the rule,
nothing else has to be known; where one is not, the calls are done one by one instead.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from consilium.errors import BadInput
from consilium.ledger.entries import ClosingEntry, DecisionEntry, Entry, MemberEntry
from consilium.ledger.orm import (
    AdapterRow,
    DecisionRow,
    MemberRow,
    OutcomeRow,
    SeatRow,
    StatementRow,
    Table,
    TierRow,
    VerdictRow,
)
from consilium.ledger.rows import TABLES, values

Columns = dict[str, Any]

_ORDER = (AdapterRow, MemberRow, DecisionRow, SeatRow, StatementRow, VerdictRow, OutcomeRow, TierRow)
"""What a row refers to comes before it; turns are there, and end last."""


class KeyStands(BadInput):
    """Something stands under a key already: who asked is to be told what."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The work of one call of `Ledger.record`."""

    entries: tuple[Entry, ...]
    record: Callable[[Connection, Entry], Entry]

    def __call__(self, connection: Connection) -> tuple[Entry, ...]:
        """Record entry by entry, and return those that stand."""
        return tuple(self.record(connection, entry) for entry in self.entries)


def rows_of(entries: Sequence[Entry], kept: Callable[[Entry], Columns]) -> Iterator[tuple[type[Table], list[Columns]]]:
    """Yield the rows of new entries by table, in an order in which they can be inserted; closings make none.

    Args:
        entries: of any kinds.
        kept: the columns of an entry, as they may be kept.
    """
    found: dict[type[Table], list[Columns]] = {table: [] for table in _ORDER}
    for entry in entries:
        if isinstance(entry, ClosingEntry):
            continue
        found[TABLES[type(entry)]].append(kept(entry))
        if isinstance(entry, DecisionEntry):
            found[SeatRow] += [values(seat) for seat in entry.seats]
        elif isinstance(entry, MemberEntry) and entry.adapter_digest is not None:
            found[AdapterRow].append({"digest": entry.adapter_digest, "base": entry.base})
    return ((table, rows) for table, rows in found.items() if rows)
