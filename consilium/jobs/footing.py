"""What all who answer the rows of one job have in common, wherever they run."""

import socket
from dataclasses import dataclass, fields
from pathlib import Path

from consilium.council.council import Council
from consilium.errors import BadSettings
from consilium.ledger.sql import SqlLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class Footing:
    """The same for a job and for each of its workers, else rows would be answered by others or paid for twice."""

    base: str
    members: tuple[str, ...]
    """Content names."""
    ledger: str
    """Where it lies; a file lies on one machine."""

    @classmethod
    def of(cls, council: Council) -> "Footing":
        """Return a council's. Raises `BadSettings` where nobody else can open its ledger."""
        from sqlalchemy.engine import make_url

        parts = council.parts
        ledger = parts.ledger.url if isinstance(parts.ledger, SqlLedger) else "sqlite://"
        url = make_url(ledger)
        if url.get_backend_name() == "sqlite":
            if url.database in (None, "", ":memory:"):
                raise BadSettings(
                    "the workers of a job need one ledger that all of them can open. Name one: database='sqlite:///…' "
                    "where they run on this machine, else 'postgresql+psycopg://…'."
                )
            ledger = f"{Path(url.database).resolve()} on {socket.gethostname()}"
        members = sorted(member.content_name for member in parts.catalogue.members.values())
        return cls(base=parts.engine.describe().base, members=tuple(members), ledger=ledger)

    def check(self, council: Council) -> None:
        """Raise `BadSettings` where a worker's council stands on another one."""
        there = Footing.of(council)
        for field in fields(self):
            here, other = getattr(self, field.name), getattr(there, field.name)
            if here != other:
                raise BadSettings(
                    f"a worker on {socket.gethostname()} has {field.name} {other!r:.200}, the job {here!r:.200}. Give "
                    "both the same settings and files; a ledger for several machines is 'postgresql+psycopg://…'."
                )
