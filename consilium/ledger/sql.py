"""`SqlLedger`: the ledger in a database, SQLite by default, PostgreSQL where a server is at hand."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias, TypeVar, cast

from sqlalchemy import Connection, RowMapping, Select, bindparam, func, or_, select, tuple_, update
from sqlalchemy import Table as SqlTable
from sqlalchemy.dialects import postgresql, sqlite

from consilium.errors import TurnBusy, UnknownTurn
from consilium.ledger.database import Database, Work
from consilium.ledger.entries import (
    UNFINISHED,
    ClosingEntry,
    DecisionEntry,
    Entry,
    EntryT,
    MemberEntry,
    OutcomeEntry,
    SeatEntry,
    StatementEntry,
    TierEntry,
    TurnEntry,
    TurnLog,
    VerdictEntry,
    differs,
    now,
)
from consilium.ledger.keeping import idle_turns, remove, sessions_before
from consilium.ledger.migrate import bring_up_to_date
from consilium.ledger.orm import (
    AdapterRow,
    DecisionRow,
    OutcomeRow,
    SeatRow,
    SessionRow,
    StatementRow,
    Table,
    TierRow,
    TurnRow,
    VerdictRow,
)
from consilium.ledger.player import player_of
from consilium.ledger.rows import TABLES, TEXTS, closing_of, decision_of, entry_of, key_of, options_kept, values
from consilium.ledger.together import KeyStands, Recording, rows_of

Result = TypeVar("Result")
_Insert: TypeAlias = postgresql.Insert | sqlite.Insert

# Built once: a turn makes them all, and putting one together costs as much as running it.
_TURN = select(TurnRow.__table__).where(TurnRow.id == bindparam("turn"))
_NEXT_NUMBER = select(func.coalesce(func.max(TurnRow.number), 0) + 1).where(TurnRow.session_id == bindparam("session"))
_TURN_LOCKED = _TURN.with_for_update()  # in SQLite whoever writes is alone anyway
_UNFINISHED_TURN = update(cast("SqlTable", TurnRow.__table__)).where(
    TurnRow.id == bindparam("turn"), or_(*(TurnRow.status == status for status in UNFINISHED))
)  # IN would keep several turns from being closed by one call
_CLOSE = _UNFINISHED_TURN.values(status=bindparam("new_status"), closed_at=bindparam("at"), player=None)
_CLAIM = _UNFINISHED_TURN.values(status="open", closed_at=None, player=bindparam("by"), tries=TurnRow.tries + 1)


class SqlLedger:
    """Keeps the ledger in the database at ``url``. See `consilium.ledger.protocol.Ledger` for what it promises.

    Args:
        url: an SQLAlchemy URL. SQLite files are opened in WAL mode with ``synchronous=FULL``: what is committed
            survives power loss.
        busy_timeout_s: seconds to wait for another process's write before `LedgerLocked`.
        redact: takes out of messages, instructions, histories handed over, statements, verdicts and errors what may
            not be kept. Callers and members get the whole texts; what is read back, by later turns of a session and
            by whoever resumes a turn too, is what was kept.

    Raises:
        BadSettings: the URL is none, or names a database that the ledger cannot use.
        MissingExtra: PostgreSQL's driver is not installed.
    """

    def __init__(self, url: str, *, busy_timeout_s: float = 5.0, redact: Callable[[str], str] | None = None) -> None:
        self._redact = redact
        self._database = Database(url, busy_timeout_s=busy_timeout_s, together=self._together)
        self.url = self._database.url
        """The database's URL, without its password."""
        self._player = player_of(self._database.engine)
        self._inserts: dict[type[Table], _Insert] = {}
        self._touch_session = self._insert(SessionRow).on_conflict_do_update(
            index_elements=[SessionRow.id], set_={"opened_at": SessionRow.opened_at}
        )

    async def __aenter__(self) -> Self:
        """Open the database and bring its schema up to date."""
        await self._database.open(bring_up_to_date)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the database, once what waits to be written is written."""
        await self._database.close(self._player.release)

    async def admit(self, *, session_id: str, turn_id: str, message: str, options: Mapping[str, Any]) -> TurnEntry:
        """Record a new turn at the end of its session, and the session if it is new."""

        def work(connection: Connection) -> TurnEntry:
            if (row := _turn(connection, turn_id)) is not None:
                return entry_of(TurnEntry, row)
            self._player.hold()
            admitted = now()
            # Changes nothing in a session that is there, but locks it in PostgreSQL: its turns are numbered one by one.
            connection.execute(self._touch_session, {"id": session_id, "opened_at": admitted})
            turn = TurnEntry(
                id=turn_id,
                session_id=session_id,
                number=connection.execute(_NEXT_NUMBER, {"session": session_id}).scalar_one(),
                message=message,
                options=options,
                status="open",
                admitted_at=admitted,
            )
            columns = {name: getattr(turn, name) for name in turn.__slots__}
            kept = dict(options) if self._redact is None else options_kept(options, self._redact)
            columns |= {"options": kept, "player": self._player.name, "message": self._kept(message)}
            if connection.execute(self._new(TurnRow), columns).rowcount:
                return turn
            return entry_of(TurnEntry, cast("RowMapping", _turn(connection, turn_id)))

        return await self._database.write(work)

    async def record(self, *entries: EntryT) -> tuple[EntryT, ...]:
        """Insert the entries in one transaction and return those that stand."""
        stands = await self._database.write(Recording(entries, self._record))
        return cast("tuple[EntryT, ...]", stands)  # an entry's record is of its own kind

    async def load(self, turn_id: str) -> TurnLog:
        """Return all that is recorded of one turn."""

        def work(connection: Connection) -> TurnLog:
            found = _logs(connection, select(TurnRow.__table__).where(TurnRow.id == turn_id))
            if not found:
                raise _unknown_turn(turn_id)
            return found[0]

        return await self.read(work)

    async def claim(self, turn_id: str) -> TurnLog:
        """Take a turn that has not ended, to play it again; return all that is recorded of it."""

        def work(connection: Connection) -> TurnLog:
            row = connection.execute(_TURN_LOCKED, {"turn": turn_id}).mappings().first()
            if row is None:
                raise _unknown_turn(turn_id)
            if row["status"] in UNFINISHED:
                self._check_free(row, connection)
                self._player.hold()
                connection.execute(_CLAIM, {"turn": turn_id, "by": self._player.name})
            return _logs(connection, select(TurnRow.__table__).where(TurnRow.id == turn_id))[0]

        return await self._database.write(work)

    async def turns(
        self,
        *,
        session_id: str | None = None,
        unfinished: bool = False,
        after: TurnEntry | None = None,
        limit: int = 20,
    ) -> Sequence[TurnLog]:
        """Return turns, oldest first: the newest ``limit``, or the first ``limit`` admitted after ``after``."""
        chosen = select(TurnRow.__table__).limit(limit)
        if session_id is not None:
            chosen = chosen.where(TurnRow.session_id == session_id)
        if after is not None:
            place = tuple_(TurnRow.admitted_at, TurnRow.id)
            chosen = chosen.where(place > (after.admitted_at, after.id)).order_by(TurnRow.admitted_at, TurnRow.id)
        elif session_id is not None:
            chosen = chosen.order_by(TurnRow.number.desc())
        else:
            chosen = chosen.order_by(TurnRow.admitted_at.desc(), TurnRow.id.desc())

        def work(connection: Connection) -> list[TurnLog]:
            if session_id is not None:
                _check_session(connection, session_id)
            if unfinished:
                return _logs(connection, _unfinished(connection, session_id, after, limit))
            return _logs(connection, chosen)[:: 1 if after else -1]

        return await self.read(work)

    async def read(self, work: Callable[[Connection], Result]) -> Result:
        """Run a function of a connection in a transaction that only reads, for questions that no method answers.

        Raises:
            LedgerError: the database cannot be read.
        """
        return await self._database.read(work)

    async def idle_turns(self, session_id: str, *, before: datetime | None = None) -> list[str] | None:
        """Return the ids of a session's turns, or None where the newest was not admitted before ``before``.

        Raises:
            UnknownTurn: there is no such session.
            TurnBusy: one of its turns is being played.
        """
        return await self._database.write(
            lambda connection: idle_turns(connection, session_id, self._check_idle, before=before)
        )

    async def purge(self, session_id: str, *, before: datetime | None = None) -> bool:
        """Remove a session with all that belongs to it; its checkpoints are `consilium.council.retention`'s.

        Args:
            session_id: which.
            before: leave it where its newest turn was not admitted before this moment, which is looked at in the
                transaction that removes it: somebody may have gone on with it since it was found to be old.

        Returns:
            Whether it is gone.

        Raises:
            UnknownTurn: there is no such session.
            TurnBusy: one of its turns is being played, here or elsewhere; nothing was removed.
        """

        def work(connection: Connection) -> bool:
            if idle_turns(connection, session_id, self._check_idle, before=before) is None:
                return False
            remove(connection, session_id)
            return True

        return await self._database.write(work)

    async def sessions_before(self, moment: datetime) -> Sequence[str]:
        """Return the sessions whose newest turn was admitted before ``moment``."""
        return await self.read(lambda connection: sessions_before(connection, moment))

    def _check_idle(self, turn: RowMapping, connection: Connection) -> None:
        """Raise `TurnBusy` where somebody who lives plays the turn, this ledger included."""
        if turn["player"] == self._player.name:
            raise TurnBusy(f"turn {turn['id']!r} is being played by this process. Wait until it is done.")
        self._check_free(turn, connection)

    def _check_free(self, turn: RowMapping, connection: Connection) -> None:
        """Raise `TurnBusy` where somebody else who lives plays the turn."""
        player = turn["player"]
        if player not in (None, self._player.name) and self._player.lives(player, connection):
            raise TurnBusy(
                f"turn {turn['id']!r} is being played by another process. Wait until it is done, or end that process."
            )

    async def tiers(self) -> Sequence[TierEntry]:
        """Return what was noted of the adapters in each place, oldest first."""
        every = select(TierRow.__table__).order_by(TierRow.noted_at, TierRow.place, TierRow.tier)
        return await self._database.read(
            lambda connection: [entry_of(TierEntry, row) for row in connection.execute(every).mappings()]
        )

    def _together(self, connection: Connection, works: Sequence[Work[Any]]) -> list[Any]:
        """Do several works at once; all that they record goes in together. Raises `KeyStands`."""
        done = [work.entries if isinstance(work, Recording) else work(connection) for work in works]
        entries = [entry for work in works if isinstance(work, Recording) for entry in work.entries]
        for table, rows in rows_of(entries, self._columns):
            if connection.execute(self._new(table), rows).rowcount != len(rows) and table is not AdapterRow:
                raise KeyStands(f"a row stands in {table.__tablename__!r} already.")
        closings = [_closing(entry) for entry in entries if isinstance(entry, ClosingEntry)]
        if closings and connection.execute(_CLOSE, closings).rowcount != len(closings):
            raise KeyStands("a turn has ended already.")
        return done

    def _record(self, connection: Connection, entry: Entry) -> Entry:
        """Insert one entry with what belongs to it, or return the one that stands."""
        if isinstance(entry, ClosingEntry):
            return self._close(connection, entry)
        if isinstance(entry, MemberEntry) and entry.adapter_digest is not None:
            connection.execute(self._new(AdapterRow), {"digest": entry.adapter_digest, "base": entry.base})
        table = TABLES[type(entry)]
        written = connection.execute(self._new(table), self._columns(entry)).rowcount == 1
        if written and isinstance(entry, DecisionEntry) and entry.seats:
            seats = [values(seat) for seat in entry.seats]
            written = connection.execute(self._new(SeatRow), seats).rowcount == len(seats)
        if written:
            return entry
        row = connection.execute(select(table.__table__).where(key_of(entry))).mappings().one()
        if isinstance(entry, DecisionEntry):
            return decision_of(row, _seats(connection, [entry.turn_id]))
        stands = entry_of(type(entry), row)
        if isinstance(stands, OutcomeEntry) and isinstance(entry, OutcomeEntry) and not stands.agrees(entry):
            raise differs(stands, entry)
        return stands

    def _columns(self, entry: Entry) -> dict[str, Any]:
        return {name: self._kept(value) if name in TEXTS else value for name, value in values(entry).items()}

    def _kept(self, text: str | None) -> str | None:
        return text if self._redact is None or text is None else self._redact(text)

    def _close(self, connection: Connection, entry: ClosingEntry) -> ClosingEntry:
        if connection.execute(_CLOSE, _closing(entry)).rowcount:
            return entry
        if (row := _turn(connection, entry.turn_id)) is None:
            raise UnknownTurn(f"the ledger holds no turn {entry.turn_id!r}; nothing was written.")
        return closing_of(row)

    def _insert(self, table: type[Table]) -> _Insert:
        postgres = self._database.engine.dialect.name == "postgresql"
        return postgresql.insert(table) if postgres else sqlite.insert(table)

    def _new(self, table: type[Table]) -> _Insert:
        """Return an insert that does nothing where the row's key is there already."""
        if (statement := self._inserts.get(table)) is None:
            statement = self._inserts[table] = self._insert(table).on_conflict_do_nothing()
        return statement


def _closing(entry: ClosingEntry) -> dict[str, Any]:
    return {"turn": entry.turn_id, "new_status": entry.status, "at": entry.closed_at}


class _OfTurn(Protocol):
    @property
    def turn_id(self) -> str: ...


EntryOfTurn = TypeVar("EntryOfTurn", bound=_OfTurn)


def _by_turn(entries: Iterable[EntryOfTurn]) -> dict[str, list[EntryOfTurn]]:
    found: dict[str, list[EntryOfTurn]] = {}
    for entry in entries:
        found.setdefault(entry.turn_id, []).append(entry)
    return found


def _turn(connection: Connection, turn_id: str) -> RowMapping | None:
    return connection.execute(_TURN, {"turn": turn_id}).mappings().first()


def _unknown_turn(turn_id: str) -> UnknownTurn:
    return UnknownTurn(f"the ledger holds no turn {turn_id!r}. `consilium ledger show` lists them.")


def _check_session(connection: Connection, session_id: str) -> None:
    if connection.execute(select(SessionRow.id).where(SessionRow.id == session_id)).first() is None:
        raise UnknownTurn(f"the ledger holds no session {session_id!r}. `consilium ledger show` lists them.")


def _unfinished(
    connection: Connection, session_id: str | None, after: TurnEntry | None, limit: int
) -> Select[tuple[Any, ...]]:
    """Return a query of turns that have not ended, oldest first.

    They are few and have an index; asked to sort them, SQLite would go through all turns in their order instead.
    """
    found = select(TurnRow.admitted_at, TurnRow.id).where(TurnRow.status.in_(UNFINISHED))
    if session_id is not None:
        found = found.where(TurnRow.session_id == session_id)
    places = sorted((at, turn_id) for at, turn_id in connection.execute(found))
    if after is not None:
        places = [place for place in places if place > (after.admitted_at, after.id)][:limit]
    ids = [turn_id for _, turn_id in places[max(0, len(places) - limit) :]]
    return select(TurnRow.__table__).where(TurnRow.id.in_(ids)).order_by(TurnRow.admitted_at, TurnRow.id)


def _seats(connection: Connection, turn_ids: Sequence[str] | Select[Any]) -> list[SeatEntry]:
    query = select(SeatRow.__table__).where(SeatRow.turn_id.in_(turn_ids)).order_by(SeatRow.number)
    return [entry_of(SeatEntry, row) for row in connection.execute(query).mappings()]


def _logs(connection: Connection, turns: Select[Any]) -> list[TurnLog]:
    """Return the logs of the selected turns, in their order, with one query a table."""
    found = [entry_of(TurnEntry, row) for row in connection.execute(turns).mappings()]
    ids = turns.with_only_columns(TurnRow.id)

    def rows(table: type[Table], *order: str) -> Iterator[RowMapping]:
        columns = table.__table__.c
        query = select(table.__table__).where(columns.turn_id.in_(ids)).order_by(*(columns[name] for name in order))
        return iter(connection.execute(query).mappings())

    seats = _by_turn(_seats(connection, ids))
    statements = _by_turn(entry_of(StatementEntry, row) for row in rows(StatementRow, "seat", "attempt"))
    outcomes = _by_turn(entry_of(OutcomeEntry, row) for row in rows(OutcomeRow, "scored_at", "key"))
    verdicts = {row["turn_id"]: entry_of(VerdictEntry, row) for row in rows(VerdictRow)}
    decisions = {row["turn_id"]: decision_of(row, seats.get(row["turn_id"], ())) for row in rows(DecisionRow)}
    return [
        TurnLog(
            turn=turn,
            decision=decisions.get(turn.id),
            seats=tuple(seats.get(turn.id, ())),
            statements=tuple(statements.get(turn.id, ())),
            verdict=verdicts.get(turn.id),
            outcomes=tuple(outcomes.get(turn.id, ())),
        )
        for turn in found
    ]
