"""The roll of a job: which rows there are, which are chosen, and which are done; on disk, however many they are."""

import hashlib
import sqlite3
from types import TracebackType
from typing import Literal, Self, TypeAlias

RowState: TypeAlias = Literal["due", "done", "failed", "left"]


class Roll:
    """Rows by ``custom_id``, in a private file of SQLite's that vanishes with the process.

    Used by one thread at a time.

    >>> with Roll() as roll:
    ...     roll.enter("a", line=1), roll.enter("a", line=2), roll.count()
    (None, 1, {'due': 1})
    """

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._rows.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA cache_size=-2000;"
            "CREATE TABLE roll (id TEXT PRIMARY KEY, line INTEGER, draw INTEGER, state TEXT) WITHOUT ROWID;"
        )

    def __enter__(self) -> Self:
        """Return the empty roll."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the file back."""
        self._rows.close()

    def enter(self, custom_id: str, *, line: int, seed: int = 0) -> int | None:
        """Enter a row; return the line that has its id already, if one does."""
        draw = int.from_bytes(hashlib.blake2b(f"{seed}/{custom_id}".encode(), digest_size=7).digest())
        row = (custom_id, line, draw)
        if self._rows.execute("INSERT OR IGNORE INTO roll VALUES (?, ?, ?, 'due')", row).rowcount:
            return None
        (standing,) = self._rows.execute("SELECT line FROM roll WHERE id = ?", (custom_id,)).fetchone()
        return int(standing)

    def choose(self, *, sample: int | None, limit: int | None) -> None:
        """Leave all but a sample, drawn by the seed, and of that all but the first so many."""
        for count, order in ((sample, "draw"), (limit, "line")):
            if count is not None:
                chosen = f"SELECT id FROM roll WHERE state != 'left' ORDER BY {order} LIMIT ?"  # noqa: S608 -- of two
                self._rows.execute(
                    f"UPDATE roll SET state = 'left' WHERE state != 'left' AND id NOT IN ({chosen})",  # noqa: S608
                    (count,),
                )

    def mark(self, custom_id: str, state: RowState) -> RowState | None:
        """Set a row's state; return the one before, None where no row has the id."""
        found = self.state(custom_id)
        if found is not None:
            self._rows.execute("UPDATE roll SET state = ? WHERE id = ?", (state, custom_id))
        return found

    def state(self, custom_id: str) -> RowState | None:
        """Return a row's state."""
        found = self._rows.execute("SELECT state FROM roll WHERE id = ?", (custom_id,)).fetchone()
        return found[0] if found else None

    def count(self) -> dict[RowState, int]:
        """Return how many rows there are of each state."""
        return dict(self._rows.execute("SELECT state, count(*) FROM roll GROUP BY state"))
