"""Who plays a turn: each process shows that it lives by a lock which ends with it, however it ends.

A lease with a clock would have to be renewed, and would keep a killed process's turns until it ran out. These locks are
let go by the operating system or by the server at the moment of death.
"""

import secrets
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, text

from consilium.ledger.connection import file_of


class Player(Protocol):
    """One opened ledger, as others see it."""

    name: str
    """What a turn's row names; drawn anew for each opening, so that it never means another one."""

    def hold(self) -> None:
        """Show others that this one lives, from now until `release` or death."""
        ...

    def lives(self, name: str, connection: Connection) -> bool:
        """Say whether the player of that name still lives; asked inside a transaction that writes."""
        ...

    def release(self) -> None:
        """Let go."""
        ...


def player_of(engine: Engine) -> Player:
    """Return this opening's player, not held yet."""
    if engine.dialect.name == "postgresql":
        return _ServerPlayer(engine)
    file = file_of(engine)
    return _FilePlayer(None if file is None else file.with_name(f"{file.name}-players"))


class _FilePlayer:
    """Holds a lock file beside the database; without a folder the database is in memory, and nobody else sees it."""

    def __init__(self, folder: Path | None) -> None:
        self.name = secrets.token_hex(8)
        self._folder = folder
        self._lock: FileLock | None = None

    def hold(self) -> None:
        if self._folder is None or self._lock is not None:
            return
        self._folder.mkdir(exist_ok=True)
        self._lock = _lock_at(self._folder / self.name)
        self._lock.acquire()

    def lives(self, name: str, connection: Connection) -> bool:
        if self._folder is None or not (file := self._folder / name).exists():
            return False
        try:
            with _lock_at(file):
                file.unlink(missing_ok=True)  # nobody will ever hold it again
        except Timeout:
            return True
        return False

    def release(self) -> None:
        if self._lock is not None and self._folder is not None:
            (self._folder / self.name).unlink(missing_ok=True)
            self._lock.release()
            self._lock = None


def _lock_at(file: Path) -> FileLock:
    # The ledger's thread takes it, and whichever thread closes the ledger lets it go.
    return FileLock(file, timeout=0, thread_local=False)


class _ServerPlayer:
    """Holds one of PostgreSQL's advisory locks on a connection of its own."""

    def __init__(self, engine: Engine) -> None:
        self.name = f"{secrets.randbits(63):016x}"
        self._engine = engine
        self._connection: Connection | None = None

    def hold(self) -> None:
        if self._connection is None:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": int(self.name, 16)})
            self._connection = connection

    def lives(self, name: str, connection: Connection) -> bool:
        free = connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": int(name, 16)})
        return not free.scalar_one()

    def release(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()  # closes it: the lock belongs to the server's session
            self._connection.close()
            self._connection = None
