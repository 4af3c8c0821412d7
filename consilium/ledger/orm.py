"""The ledger's tables."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Every constraint has a name, or SQLite's batch migrations could not drop it.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite stores no zone: it is converted on the way in, and put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC before the database drops the zone."""
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Put the zone back where the database dropped it."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


_AS_JSON: dict[Any, Any] = dict.fromkeys((dict[str, Any], list[dict[str, Any]], list[int], list[str]), JSON)


class Table(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime, **_AS_JSON}  # noqa: RUF012 -- SQLAlchemy's own contract


class AdapterRow(Table):
    """Adapter weights, by content."""

    __tablename__ = "adapters"

    digest: Mapped[str] = mapped_column(primary_key=True)
    base: Mapped[str]


class MemberRow(Table):
    """A member as it was when it could sit."""

    __tablename__ = "members"

    content_name: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    group: Mapped[str]
    adapter_digest: Mapped[str | None] = mapped_column(ForeignKey("adapters.digest"))
    base: Mapped[str]


class SessionRow(Table):
    """A conversation."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(primary_key=True)
    opened_at: Mapped[datetime]


class TurnRow(Table):
    """One user message."""

    __tablename__ = "turns"
    __table_args__ = (
        UniqueConstraint("session_id", "number"),
        CheckConstraint("status IN ('open', 'interrupted', 'concluded', 'failed')", name="status"),
        Index(None, "admitted_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id"))
    number: Mapped[int]
    message: Mapped[str]
    options: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(index=True)
    admitted_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    player: Mapped[str | None]
    tries: Mapped[int]


class DecisionRow(Table):
    """What the router answered for a turn."""

    __tablename__ = "decisions"

    turn_id: Mapped[str] = mapped_column(ForeignKey("turns.id"), primary_key=True)
    router: Mapped[str]
    router_digest: Mapped[str]
    scores: Mapped[dict[str, Any]]
    propensities: Mapped[dict[str, Any]]
    abstained: Mapped[bool]
    exploration: Mapped[float]
    beside: Mapped[list[dict[str, Any]]]


class SeatRow(Table):
    """One member's place in one turn."""

    __tablename__ = "seats"

    turn_id: Mapped[str] = mapped_column(ForeignKey("turns.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    member: Mapped[str]
    content_name: Mapped[str] = mapped_column(ForeignKey("members.content_name"), index=True)
    role: Mapped[str]
    weight: Mapped[float]


class StatementRow(Table):
    """What a seat said, or the error that kept it from speaking."""

    __tablename__ = "statements"
    __table_args__ = (ForeignKeyConstraint(["turn_id", "seat"], ["seats.turn_id", "seats.number"]),)

    turn_id: Mapped[str] = mapped_column(primary_key=True)
    seat: Mapped[int] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    error: Mapped[str | None]
    error_message: Mapped[str | None]
    finish: Mapped[str]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    first_token_ms: Mapped[float]
    latency_ms: Mapped[float]
    engine: Mapped[str]
    prompt_digest: Mapped[str | None]


class VerdictRow(Table):
    """The turn's answer."""

    __tablename__ = "verdicts"
    __table_args__ = (ForeignKeyConstraint(["turn_id", "source_seat"], ["seats.turn_id", "seats.number"]),)

    turn_id: Mapped[str] = mapped_column(ForeignKey("turns.id"), primary_key=True)
    text: Mapped[str]
    method: Mapped[str]
    source_seat: Mapped[int]
    agreement: Mapped[float]
    dissent: Mapped[list[int]]


class OutcomeRow(Table):
    """A score given afterwards to a turn or to one of its seats."""

    __tablename__ = "outcomes"
    __table_args__ = (
        ForeignKeyConstraint(["turn_id", "seat"], ["seats.turn_id", "seats.number"]),
        CheckConstraint("score >= 0 AND score <= 1", name="score"),
        CheckConstraint("weight > 0 AND weight <= 1e9", name="weight"),
    )

    key: Mapped[str] = mapped_column(primary_key=True)
    turn_id: Mapped[str] = mapped_column(ForeignKey("turns.id"), index=True)
    seat: Mapped[int | None]
    score: Mapped[float]
    source: Mapped[str]
    weight: Mapped[float]
    scored_at: Mapped[datetime] = mapped_column(index=True)


class LessonRow(Table):
    """That a learner has taken an outcome into account: once, whoever learned it."""

    __tablename__ = "lessons"

    learner: Mapped[str] = mapped_column(primary_key=True)
    outcome_key: Mapped[str] = mapped_column(ForeignKey("outcomes.key", ondelete="CASCADE"), primary_key=True)


class BeliefRow(Table):
    """What a learner has seen of one member, with one adapter (``pilot@0123456789ab``) or with any (``pilot@*``)."""

    __tablename__ = "beliefs"

    learner: Mapped[str] = mapped_column(primary_key=True)
    content_name: Mapped[str] = mapped_column(primary_key=True)
    features: Mapped[list[str]]
    evidence: Mapped[bytes]
    moment: Mapped[bytes]
    count: Mapped[int]


class RouterVersionRow(Table):
    """A fitted router's file, by content."""

    __tablename__ = "router_versions"

    digest: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[bytes]
    added_at: Mapped[datetime]


class PromotionRow(Table):
    """That a router was put in charge. The newest row says who is."""

    __tablename__ = "promotions"

    number: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str | None] = mapped_column(ForeignKey("router_versions.digest"))
    action: Mapped[str]
    promoted_at: Mapped[datetime]


class TierRow(Table):
    """What became of the times that adapters were needed in one place, while one council was open."""

    __tablename__ = "tiers"

    run: Mapped[str] = mapped_column(primary_key=True)
    place: Mapped[str] = mapped_column(primary_key=True)
    tier: Mapped[str] = mapped_column(primary_key=True)
    capacity: Mapped[int]
    hits: Mapped[int]
    loads: Mapped[int]
    ahead: Mapped[int]
    given_back: Mapped[int]
    load_ms: Mapped[float]
    noted_at: Mapped[datetime]
