"""Reports: who sits when, what came of it, how well the router's scores foretell it, and what it cost.

Everything is summed up in the database; only what a report prints leaves it, but for the router's calibration, for
which the scores of scored turns are read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from statistics import NormalDist
from typing import Any, TypeAlias

from sqlalchemy import Connection, Executable, Label, SQLColumnExpression, and_, case, func, select

from consilium.ledger.orm import DecisionRow, OutcomeRow, SeatRow, StatementRow, TurnRow, VerdictRow

Row: TypeAlias = dict[str, Any]
BINS = 10
_NORMAL = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Tables by title; each is a list of rows with the same columns."""

    name: str
    tables: Mapping[str, list[Row]]


def usage(connection: Connection) -> Report:
    """Sum up who sits how often, with what share, and whose words the verdicts are; and turns from day to day."""
    seats = select(SeatRow.member, func.count().label("seats"), func.avg(SeatRow.weight).label("mean_share"))
    by_member = _rows(connection, seats.group_by(SeatRow.member).order_by(func.count().desc()))
    worded = select(SeatRow.member, func.count().label("verdicts")).join(VerdictRow, _SOURCE).group_by(SeatRow.member)
    verdicts = {row["member"]: row["verdicts"] for row in _rows(connection, worded)}
    turns = connection.execute(select(func.count()).select_from(TurnRow)).scalar_one()
    table = [
        {**row, "verdicts": verdicts.get(row["member"], 0), "of_turns": row["seats"] / turns if turns else 0.0}
        for row in by_member
    ]
    day = func.date(TurnRow.admitted_at).label("day")
    days = select(day, func.count().label("turns"), _share(TurnRow.status == "failed", "failed"))
    return Report(name="usage", tables={"members": table, "days": _rows(connection, days.group_by(day).order_by(day))})


def members(connection: Connection) -> Report:
    """Sum up what came of members' words that were the verdict or were scored themselves, and from day to day."""
    target = func.coalesce(OutcomeRow.seat, VerdictRow.source_seat)
    scored = (
        select(SeatRow.member.label("member"), *_SCORES)
        .select_from(OutcomeRow)
        .join(VerdictRow, VerdictRow.turn_id == OutcomeRow.turn_id)
        .join(SeatRow, and_(SeatRow.turn_id == OutcomeRow.turn_id, SeatRow.number == target))
    )
    day = func.date(OutcomeRow.scored_at).label("day")
    drift = scored.add_columns(day).group_by(SeatRow.member, day).order_by(day, SeatRow.member)
    overall = scored.group_by(SeatRow.member).order_by(SeatRow.member)
    tables = {"wins": _rows(connection, overall), "drift": _rows(connection, drift)}
    return Report(
        name="members", tables={title: [_with_interval(row) for row in rows] for title, rows in tables.items()}
    )


def router(connection: Connection) -> Report:
    """Lay scores of the first seat beside outcomes, and sum up what each version of the router came to."""
    outcome = select(OutcomeRow.turn_id, func.avg(OutcomeRow.score).label("score")).group_by(OutcomeRow.turn_id)
    of_turn = outcome.subquery()
    query = (
        select(DecisionRow.scores, SeatRow.member, of_turn.c.score)
        .join(of_turn, of_turn.c.turn_id == DecisionRow.turn_id)
        .join(SeatRow, and_(SeatRow.turn_id == DecisionRow.turn_id, SeatRow.number == 0))
    )
    bins: list[list[tuple[float, float]]] = [[] for _ in range(BINS)]
    for scores, member, score in connection.execute(query):
        sure = float(scores.get(member, 0.0))
        bins[min(BINS - 1, int(sure * BINS))].append((sure, score))
    calibration = [
        {
            "score_from": place / BINS,
            "turns": len(found),
            "mean_score": sum(sure for sure, _ in found) / len(found),
            "mean_outcome": sum(score for _, score in found) / len(found),
        }
        for place, found in enumerate(bins)
        if found
    ]
    versions = (
        select(
            DecisionRow.router,
            func.substr(DecisionRow.router_digest, 1, 12).label("digest"),
            func.count().label("turns"),
            _share(DecisionRow.abstained, "abstained"),
            func.avg(DecisionRow.exploration).label("exploration"),
            func.avg(of_turn.c.score).label("mean_outcome"),
        )
        .outerjoin(of_turn, of_turn.c.turn_id == DecisionRow.turn_id)
        .group_by(DecisionRow.router, DecisionRow.router_digest)
        .order_by(func.count().desc())
        .limit(50)
    )
    return Report(name="router", tables={"calibration": calibration, "versions": _rows(connection, versions)})


def costs(connection: Connection) -> Report:
    """Sum up tokens, time and failures of each member's statements, over all and from day to day."""
    spoken = (
        func.count().label("statements"),
        _share(StatementRow.error.is_not(None), "failed"),
        func.sum(StatementRow.prompt_tokens).label("prompt_tokens"),
        func.sum(StatementRow.completion_tokens).label("completion_tokens"),
        func.avg(StatementRow.first_token_ms).label("first_token_ms"),
        func.avg(StatementRow.latency_ms).label("latency_ms"),
    )
    said = and_(SeatRow.turn_id == StatementRow.turn_id, SeatRow.number == StatementRow.seat)
    by_member = select(SeatRow.member, *spoken).select_from(StatementRow).join(SeatRow, said).group_by(SeatRow.member)
    day = func.date(TurnRow.admitted_at).label("day")
    by_day = select(day, *spoken).select_from(StatementRow).join(TurnRow, TurnRow.id == StatementRow.turn_id)
    return Report(
        name="costs",
        tables={
            "members": _rows(connection, by_member.order_by(func.sum(StatementRow.completion_tokens).desc())),
            "days": _rows(connection, by_day.group_by(day).order_by(day)),
        },
    )


REPORTS: Mapping[str, Callable[[Connection], Report]] = {
    "usage": usage,
    "members": members,
    "router": router,
    "costs": costs,
}

_SOURCE = and_(SeatRow.turn_id == VerdictRow.turn_id, SeatRow.number == VerdictRow.source_seat)
_SCORES = (
    func.count().label("outcomes"),
    (func.sum(OutcomeRow.score * OutcomeRow.weight) / func.sum(OutcomeRow.weight)).label("mean"),
    func.sum(OutcomeRow.score * OutcomeRow.score).label("squares"),
    func.sum(OutcomeRow.score).label("total"),
)


def _share(condition: SQLColumnExpression[bool], label: str) -> Label[float]:
    return func.avg(case((condition, 1.0), else_=0.0)).label(label)


def _rows(connection: Connection, query: Executable) -> list[Row]:
    """Return rows as JSON would keep them; a database that counts in decimals is read as floats."""
    return [
        {name: value if isinstance(value, int | float | str | None) else _plain(value) for name, value in row.items()}
        for row in connection.execute(query).mappings()
    ]


def _plain(value: Decimal | date) -> float | str:
    return value.isoformat() if isinstance(value, date) else float(value)


def _with_interval(row: Row) -> Row:
    """Put normal bounds of 95 % in place of the sums that they are made of."""
    count, squares, total = row["outcomes"], row.pop("squares"), row.pop("total")
    variance = max(0.0, squares / count - (total / count) ** 2)
    half = _NORMAL * (variance / count) ** 0.5
    return {**row, "low": max(0.0, row["mean"] - half), "high": min(1.0, row["mean"] + half)}
