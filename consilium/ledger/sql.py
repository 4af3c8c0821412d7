"""`SqlLedger`: the ledger in a database, SQLite by default, PostgreSQL where a server is at hand.

The database is driven synchronously from one thread of its own: one hop a call, where an asynchronous driver makes one
for every statement. A turn makes half a dozen durable commits, and they are what it costs.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias, TypeVar, cast

from sqlalchemy import Connection, Engine, RowMapping, Select, bindparam, func, select, update
from sqlalchemy import Table as SqlTable
from sqlalchemy.dialects import postgresql, sqlite

from consilium.errors import BadInput, ConsiliumError, LedgerError, UnknownTurn
from consilium.ledger.connection import connect, translated
from consilium.ledger.entries import (
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
    now,
)
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
from consilium.ledger.rows import TABLES, closing_of, decision_of, entry_of, key_of, values

Result = TypeVar("Result")
_Insert: TypeAlias = postgresql.Insert | sqlite.Insert

# Built once: a turn makes them all, and putting one together costs as much as running it.
_TURN = select(TurnRow.__table__).where(TurnRow.id == bindparam("turn"))
_NEXT_NUMBER = select(func.coalesce(func.max(TurnRow.number), 0) + 1).where(TurnRow.session_id == bindparam("session"))
_CLOSE = (
    update(cast("SqlTable", TurnRow.__table__))
    .where(TurnRow.id == bindparam("turn"), TurnRow.status == "open")
    .values(status=bindparam("status"), closed_at=bindparam("closed_at"))
)


class SqlLedger:
    """Keeps the ledger in the database at ``url``. See `consilium.ledger.protocol.Ledger` for what it promises.

    Args:
        url: an SQLAlchemy URL. SQLite files are opened in WAL mode with ``synchronous=FULL``: what is committed
            survives power loss.
        busy_timeout_s: seconds to wait for another process's write before `LedgerLocked`.

    Raises:
        BadSettings: the URL is none, or names a database that the ledger cannot use.
        MissingExtra: PostgreSQL's driver is not installed.
    """

    def __init__(self, url: str, *, busy_timeout_s: float = 5.0) -> None:
        self._engine: Engine = connect(url, busy_timeout_s=busy_timeout_s)
        self.url = self._engine.url.render_as_string(hide_password=True)
        """The database's URL, without its password."""
        self._writer = self._engine.execution_options(writes=True)
        self._inserts: dict[type[Table], _Insert] = {}
        self._touch_session = self._insert(SessionRow).on_conflict_do_update(
            index_elements=[SessionRow.id], set_={"opened_at": SessionRow.opened_at}
        )
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: list[tuple[Callable[[Connection], Any], asyncio.Future[Any]]] = []
        self._committing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Open the database and bring its schema up to date."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="consilium-ledger")
        try:
            await self._run(lambda: bring_up_to_date(self._engine))
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the database, once what waits to be written is written."""
        try:
            if self._committing is not None:
                await self._committing
            await self._run(self._engine.dispose)
        finally:
            thread, self._thread = self._thread, None
            if thread is not None:
                thread.shutdown()

    async def admit(self, *, session_id: str, turn_id: str, message: str, options: Mapping[str, Any]) -> TurnEntry:
        """Record a new turn at the end of its session, and the session if it is new."""

        def work(connection: Connection) -> TurnEntry:
            if (row := _turn(connection, turn_id)) is not None:
                return entry_of(TurnEntry, row)
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
            columns = {**{name: getattr(turn, name) for name in turn.__slots__}, "options": dict(options)}
            if connection.execute(self._new(TurnRow), columns).rowcount:
                return turn
            return entry_of(TurnEntry, cast("RowMapping", _turn(connection, turn_id)))

        return await self._write(work)

    async def record(self, *entries: EntryT) -> tuple[EntryT, ...]:
        """Insert the entries in one transaction and return those that stand."""
        stands = await self._write(lambda connection: tuple(self._record(connection, entry) for entry in entries))
        return cast("tuple[EntryT, ...]", stands)  # an entry's record is of its own kind

    async def load(self, turn_id: str) -> TurnLog:
        """Return all that is recorded of one turn."""

        def work(connection: Connection) -> TurnLog:
            found = _logs(connection, select(TurnRow.__table__).where(TurnRow.id == turn_id))
            if not found:
                raise UnknownTurn(f"the ledger holds no turn {turn_id!r}. `consilium ledger show` lists them.")
            return found[0]

        return await self._read(work)

    async def turns(self, *, session_id: str | None = None, limit: int = 20) -> Sequence[TurnLog]:
        """Return the newest turns, of one session or of all, oldest first."""

        def work(connection: Connection) -> list[TurnLog]:
            newest = select(TurnRow.__table__).limit(limit)
            if session_id is None:
                newest = newest.order_by(TurnRow.admitted_at.desc(), TurnRow.number.desc())
            else:
                known = select(SessionRow.id).where(SessionRow.id == session_id)
                if connection.execute(known).first() is None:
                    raise UnknownTurn(
                        f"the ledger holds no session {session_id!r}. `consilium ledger show` lists them."
                    )
                newest = newest.where(TurnRow.session_id == session_id).order_by(TurnRow.number.desc())
            return _logs(connection, newest)[::-1]

        return await self._read(work)

    async def tiers(self) -> Sequence[TierEntry]:
        """Return what was noted of the adapters in each place, oldest first."""
        every = select(TierRow.__table__).order_by(TierRow.noted_at, TierRow.place, TierRow.tier)
        return await self._read(
            lambda connection: [entry_of(TierEntry, row) for row in connection.execute(every).mappings()]
        )

    def _record(self, connection: Connection, entry: Entry) -> Entry:
        """Insert one entry with what belongs to it, or return the one that stands."""
        if isinstance(entry, ClosingEntry):
            return self._close(connection, entry)
        if isinstance(entry, MemberEntry) and entry.adapter_digest is not None:
            connection.execute(self._new(AdapterRow), {"digest": entry.adapter_digest, "base": entry.base})
        table = TABLES[type(entry)]
        written = connection.execute(self._new(table), values(entry)).rowcount == 1
        if written and isinstance(entry, DecisionEntry) and entry.seats:
            seats = [values(seat) for seat in entry.seats]
            written = connection.execute(self._new(SeatRow), seats).rowcount == len(seats)
        if written:
            return entry
        row = connection.execute(select(table.__table__).where(key_of(entry))).mappings().one()
        if isinstance(entry, DecisionEntry):
            return decision_of(row, _seats(connection, [entry.turn_id]))
        return entry_of(type(entry), row)

    def _close(self, connection: Connection, entry: ClosingEntry) -> ClosingEntry:
        closing = {"turn": entry.turn_id, "status": entry.status, "closed_at": entry.closed_at}
        if connection.execute(_CLOSE, closing).rowcount:
            return entry
        if (row := _turn(connection, entry.turn_id)) is None:
            raise UnknownTurn(f"the ledger holds no turn {entry.turn_id!r}; nothing was written.")
        return closing_of(row)

    def _insert(self, table: type[Table]) -> _Insert:
        postgres = self._engine.dialect.name == "postgresql"
        return postgresql.insert(table) if postgres else sqlite.insert(table)

    def _new(self, table: type[Table]) -> _Insert:
        """Return an insert that does nothing where the row's key is there already."""
        if (statement := self._inserts.get(table)) is None:
            statement = self._inserts[table] = self._insert(table).on_conflict_do_nothing()
        return statement

    async def _write(self, work: Callable[[Connection], Result]) -> Result:
        """Do ``work`` in the next transaction, together with whatever else waits to be written."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, done))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_waiting())
        return await done

    async def _commit_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            works = [work for work, _ in batch]
            try:
                results = await self._run(partial(self._transact, works))
            except Exception as error:  # whatever befell the transaction, each waiting call is told
                results = [error] * len(batch)
            for (_, done), result in zip(batch, results, strict=True):
                if done.cancelled():
                    continue
                if isinstance(result, Exception):
                    done.set_exception(result)
                else:
                    done.set_result(result)

    def _transact(self, works: Sequence[Callable[[Connection], Any]]) -> list[Any]:
        """Commit all ``works`` at once; where one of them is refused, each by itself, so that only that one fails."""
        if len(works) > 1:
            try:
                with translated(self.url), self._writer.begin() as connection:
                    return [work(connection) for work in works]
            except BadInput:
                pass
        return [self._alone(work) for work in works]

    def _alone(self, work: Callable[[Connection], Any]) -> Any:  # noqa: ANN401 -- the result of any work, or its error
        try:
            with translated(self.url), self._writer.begin() as connection:
                return work(connection)
        except ConsiliumError as error:
            return error

    async def _read(self, work: Callable[[Connection], Result]) -> Result:
        def transact() -> Result:
            with self._engine.begin() as connection:
                return work(connection)

        return await self._run(transact)

    async def _run(self, task: Callable[[], Result]) -> Result:
        if self._thread is None:
            raise LedgerError(f"the ledger at {self.url} is not open. Use it inside `async with ledger:`.")

        def guarded() -> Result:
            with translated(self.url):
                return task()

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)


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


def _seats(connection: Connection, turn_ids: Sequence[str] | Select[Any]) -> list[SeatEntry]:
    query = select(SeatRow.__table__).where(SeatRow.turn_id.in_(turn_ids)).order_by(SeatRow.number)
    return [entry_of(SeatEntry, row) for row in connection.execute(query).mappings()]


def _logs(connection: Connection, turns: Select[Any]) -> list[TurnLog]:
    """Return the logs of the selected turns, in their order, with one query a table."""
    found = [entry_of(TurnEntry, row) for row in connection.execute(turns).mappings()]
    ids = turns.with_only_columns(TurnRow.id)

    def rows(table: type[Table], *order: Any) -> Iterator[Any]:  # noqa: ANN401 -- rows of any table
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
