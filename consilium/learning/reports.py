"""Reports: who sits when, what came of it, how well the router's scores foretell it, and what it cost.

Everything is summed up in the database; only what a report prints leaves it, but for the router's, for which outcomes
and the scores of scored turns are read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from math import sqrt
from operator import attrgetter
from statistics import NormalDist, fmean
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, Executable, Label, SQLColumnExpression, and_, case, func, select

from consilium.learning.scored import outcome_of
from consilium.ledger.entries import OutcomeEntry
from consilium.ledger.orm import DecisionRow, OutcomeRow, SeatRow, StatementRow, TurnRow, VerdictRow
from consilium.ledger.rows import entry_of

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
    """Lay scores of the first seat beside outcomes, and sum up what each version of the router came to.

    What came of a turn is what judging a router offline takes it for, see `consilium.learning.scored.outcome_of`.
    """
    outcomes = _of_turns(connection)
    scored = (
        select(DecisionRow.turn_id, DecisionRow.router, DecisionRow.router_digest, DecisionRow.scores, SeatRow.member)
        .outerjoin(SeatRow, and_(SeatRow.turn_id == DecisionRow.turn_id, SeatRow.number == 0))
        .where(DecisionRow.turn_id.in_(select(OutcomeRow.turn_id)))
    )
    bins: list[list[tuple[float, float]]] = [[] for _ in range(BINS)]
    of_version: dict[tuple[str, str], list[float]] = {}
    for turn_id, name, digest, scores, member in connection.execute(scored):
        if (outcome := outcomes.get(turn_id)) is None:  # it came between the two queries
            continue
        of_version.setdefault((name, digest), []).append(outcome)
        if member is not None:
            sure = float(scores.get(member, 0.0))
            bins[min(BINS - 1, int(sure * BINS))].append((sure, outcome))
    calibration = [
        {
            "score_from": place / BINS,
            "turns": len(found),
            "mean_score": fmean(sure for sure, _ in found),
            "mean_outcome": fmean(came for _, came in found),
        }
        for place, found in enumerate(bins)
        if found
    ]
    return Report(name="router", tables={"calibration": calibration, "versions": _versions(connection, of_version)})


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


class Bounds(NamedTuple):
    """Of a mean, in [0, 1]."""

    low: float
    high: float


def bounds(mean: float, count: float) -> Bounds:
    """Return Wilson's score interval of 95 % for the mean of scores in [0, 1].

    It has a width for a single outcome and for equal ones too. It is of hits and misses, of which no scores of the same
    mean spread wider: for scores in between it is rather too wide. With z = 1.96 the bounds are::

        (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22(158), 209-212.

    Args:
        mean: p, in [0, 1]; it may be weighted.
        count: n, how many outcomes it is of; of weighted ones how many tell as much, (sum w)^2 / sum w^2 (Kish 1965).

    >>> [round(bound, 3) for bound in bounds(1.0, 1)]
    [0.207, 1.0]
    """

    def lowest(share: float) -> float:
        hits = 2 * count * share  # the fraction is expanded by the conjugate: as it stands, it cancels near 0
        return hits * share / (hits + _NORMAL**2 + _NORMAL * sqrt(_NORMAL**2 + 2 * hits * (1 - share)))

    return Bounds(low=lowest(mean), high=1 - lowest(1 - mean))


REPORTS: Mapping[str, Callable[[Connection], Report]] = {
    "usage": usage,
    "members": members,
    "router": router,
    "costs": costs,
}

_SOURCE = and_(SeatRow.turn_id == VerdictRow.turn_id, SeatRow.number == VerdictRow.source_seat)
_WEIGHT = case((OutcomeRow.weight < 1e-100, 1e-100), else_=OutcomeRow.weight)
"""Of an outcome; the square of a smaller one would vanish."""
_SCORES = (
    func.count().label("outcomes"),
    (func.sum(OutcomeRow.score * _WEIGHT) / func.sum(_WEIGHT)).label("mean"),
    func.sum(_WEIGHT).label("weight"),
    func.sum(_WEIGHT * _WEIGHT).label("squares"),
)


def _of_turns(connection: Connection) -> dict[str, float]:
    """Return what came of every scored turn."""
    given = connection.execute(select(OutcomeRow.__table__).order_by(OutcomeRow.turn_id)).mappings()
    by_turn = groupby((entry_of(OutcomeEntry, row) for row in given), key=attrgetter("turn_id"))
    found = {turn_id: outcome_of(list(entries)) for turn_id, entries in by_turn}
    return {turn_id: outcome for turn_id, outcome in found.items() if outcome is not None}


def _versions(connection: Connection, outcomes: Mapping[tuple[str, str], Sequence[float]]) -> list[Row]:
    """Sum up each version of the router; ``outcomes`` are its scored turns', by its name and whole digest."""
    query = (
        select(
            DecisionRow.router,
            DecisionRow.router_digest.label("digest"),
            func.count().label("turns"),
            _share(DecisionRow.abstained, "abstained"),
            func.avg(DecisionRow.exploration).label("exploration"),
        )
        .group_by(DecisionRow.router, DecisionRow.router_digest)
        .order_by(func.count().desc())
        .limit(50)
    )
    rows = _rows(connection, query)
    came = [outcomes.get((row["router"], row["digest"])) for row in rows]
    return [
        {**row, "digest": row["digest"][:12], "mean_outcome": fmean(of_it) if of_it else None}
        for row, of_it in zip(rows, came, strict=True)
    ]


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
    """Put bounds of 95 % in place of the sums of weights, which say how many outcomes of one weight tell as much."""
    weight, squares = row.pop("weight"), row.pop("squares")
    low, high = bounds(row["mean"], weight**2 / squares)
    return {**row, "low": low, "high": high}
