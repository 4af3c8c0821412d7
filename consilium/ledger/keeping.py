"""What is kept, and for how long: removing sessions from a ledger, whole."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, delete, func, select

from consilium.errors import UnknownTurn
from consilium.ledger.entries import UNFINISHED
from consilium.ledger.orm import DecisionRow, OutcomeRow, SeatRow, SessionRow, StatementRow, TurnRow, VerdictRow

Check = Callable[[RowMapping, Connection], None]
"""Raises `TurnBusy` where somebody who lives is playing the turn of that row."""


def idle_turns(
    connection: Connection, session_id: str, check: Check, *, before: datetime | None = None
) -> list[str] | None:
    """Return the ids of a session's turns; None where its newest was not admitted before ``before``.

    Session and turns are locked until the transaction ends, so that what is found holds until they are removed: a turn
    that is admitted meanwhile waits, and then opens the session anew.

    Raises:
        UnknownTurn: there is no such session.
        TurnBusy: somebody who lives is playing one of its turns.
    """
    connection.execute(select(SessionRow.id).where(SessionRow.id == session_id).with_for_update())
    mine = select(TurnRow.__table__).where(TurnRow.session_id == session_id).with_for_update()
    turns = connection.execute(mine).mappings().all()
    if not turns:
        raise UnknownTurn(f"the ledger holds no session {session_id!r}. `consilium ledger show` lists them.")
    if before is not None and max(turn["admitted_at"] for turn in turns) >= before:
        return None
    for turn in turns:
        if turn["status"] in UNFINISHED:
            check(turn, connection)
    return [turn["id"] for turn in turns]


def remove(connection: Connection, session_id: str) -> None:
    """Delete a session with all that belongs to it; members stay, since other sessions name them."""
    mine = select(TurnRow.id).where(TurnRow.session_id == session_id)
    for table in (VerdictRow, StatementRow, OutcomeRow, DecisionRow, SeatRow):
        connection.execute(delete(table).where(table.__table__.c.turn_id.in_(mine)))
    connection.execute(delete(TurnRow).where(TurnRow.session_id == session_id))
    connection.execute(delete(SessionRow).where(SessionRow.id == session_id))


def sessions_before(connection: Connection, moment: datetime) -> Sequence[str]:
    """Return the sessions whose newest turn was admitted before a moment."""
    newest = func.max(TurnRow.admitted_at)
    return (
        connection.execute(select(TurnRow.session_id).group_by(TurnRow.session_id).having(newest < moment))
        .scalars()
        .all()
    )
