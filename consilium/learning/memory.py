"""Where a learner's beliefs are kept: in the ledger's database. Each outcome is taken into account once."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import numpy as np
from sqlalchemy import Connection, exists, func, select, update
from sqlalchemy import Table as SqlTable
from sqlalchemy.dialects import postgresql, sqlite

from consilium.engines.protocol import Engine
from consilium.errors import BadInput, EngineError
from consilium.learning.beliefs import Belief, Prior
from consilium.learning.credit import leave_one_out
from consilium.learning.learner import Learner, Observation, after, known_of
from consilium.learning.transactions import transact_aside
from consilium.ledger.entries import TurnLog
from consilium.ledger.orm import BeliefRow, LessonRow, OutcomeRow
from consilium.ledger.protocol import Ledger

_logger = logging.getLogger(__name__)

AT_ONCE = 500
"""Outcomes that are learned in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a learner knows.

    Args:
        url: of the ledger's database.
        ledger: the same ledger, open.
        learner: whose beliefs are kept.
        engine: finds out how far each seat carried a chair's verdict, where the learner's credit is by likelihood.
    """

    url: str
    ledger: Ledger
    learner: Learner
    engine: Engine | None = None

    async def learn(self, static_digest: str, *, since: datetime | None = None) -> int:
        """Take all outcomes into account that were not yet; return how many there have been.

        Args:
            static_digest: of the router whose scores they are laid beside.
            since: do not look for outcomes that were scored before.
        """
        name, learner = self.learner.name(static_digest), self.learner
        while pending := await transact_aside(self.url, partial(_pending, learner=name, since=since)):
            seen: dict[str, list[Observation]] = {key: [] for key, _ in pending}
            for turn_id in {turn_id for _, turn_id in pending}:
                log = await self.ledger.load(turn_id)
                for each in learner.observations(log, static_digest, await self._carried(log)):
                    if each.outcome in seen:
                        seen[each.outcome].append(each)
            enter = partial(
                _learn, learner=name, seen=seen, features=list(learner.catalogue.members), prior=learner.prior
            )
            await transact_aside(self.url, enter, writes=True)
        return await transact_aside(self.url, partial(_count, learner=name))

    async def _carried(self, log: TurnLog) -> Mapping[int, float] | None:
        """Return how far each seat carried the verdict; None where ballots are to be counted, or all that there is."""
        if self.engine is None or self.learner.credit != "likelihood":
            return None
        try:
            return await leave_one_out(log, self.engine, self.learner.catalogue)
        except (EngineError, BadInput) as error:  # no reason not to learn, nor for the turn to fail that waits for it
            _logger.warning("the outcome of turn %s is shared by ballots: %s", log.turn.id, error)
            return None

    async def recall(self, static_digest: str) -> Mapping[str, Belief]:
        """Return beliefs by what they are kept under; those about another set of members are of no use and left out."""
        name, features = self.learner.name(static_digest), list(self.learner.catalogue.members)

        def work(connection: Connection) -> dict[str, Belief]:
            rows = connection.execute(select(BeliefRow.__table__).where(BeliefRow.learner == name)).mappings()
            return {row["content_name"]: _belief(dict(row)) for row in rows if row["features"] == features}

        return await transact_aside(self.url, work)


def _pending(connection: Connection, learner: str, since: datetime | None) -> list[tuple[str, str]]:
    """Return keys and turns of outcomes that the learner has not taken into account, oldest first."""
    learned = exists().where(LessonRow.learner == learner, LessonRow.outcome_key == OutcomeRow.key)
    query = (
        select(OutcomeRow.key, OutcomeRow.turn_id)
        .where(~learned)
        .order_by(OutcomeRow.scored_at, OutcomeRow.key)
        .limit(AT_ONCE)
    )
    if since is not None:
        query = query.where(OutcomeRow.scored_at >= since)
    return [(row.key, row.turn_id) for row in connection.execute(query)]


def _count(connection: Connection, learner: str) -> int:
    query = select(func.count()).select_from(LessonRow).where(LessonRow.learner == learner)
    return connection.execute(query).scalar_one()


def _learn(
    connection: Connection,
    learner: str,
    seen: Mapping[str, Sequence[Observation]],
    features: Sequence[str],
    prior: Prior,
) -> None:
    """Enter the lessons, and update beliefs by those that nobody entered before."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    lesson = dialect.insert(LessonRow).on_conflict_do_nothing()
    beliefs: dict[str, Belief] = {}
    for key, observations in seen.items():
        if not connection.execute(lesson, {"learner": learner, "outcome_key": key}).rowcount:
            continue
        for each in observations:
            for kept_under, memory in each.kept_under(prior).items():
                known = beliefs.get(kept_under) or _locked(connection, learner, kept_under, features)
                beliefs[kept_under] = after(known, each, prior, memory)
    for content_name, belief in beliefs.items():
        table: SqlTable = BeliefRow.__table__  # type: ignore[assignment]  # SQLAlchemy types it wider than it is
        where = table.c.learner == learner, table.c.content_name == content_name
        connection.execute(update(table).where(*where).values(**_columns(belief, features)))


def _locked(connection: Connection, learner: str, content_name: str, features: Sequence[str]) -> Belief:
    """Return the belief that stands, held until the transaction ends; begun if there is none of these features."""
    where = BeliefRow.learner == learner, BeliefRow.content_name == content_name
    query = select(BeliefRow.__table__).where(*where).with_for_update()
    nothing = Belief.none(len(features))
    if (row := connection.execute(query).mappings().first()) is None:
        beginning = known_of(content_name, _of_adapter(connection, learner, content_name, features)) or nothing
        columns = {"learner": learner, "content_name": content_name, **_columns(beginning, features)}
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(BeliefRow).on_conflict_do_nothing(), columns)
        row = connection.execute(query).mappings().one()
    return _belief(dict(row)) if row["features"] == list(features) else nothing


def _of_adapter(connection: Connection, learner: str, content_name: str, features: Sequence[str]) -> dict[str, Belief]:
    """Return the beliefs about whoever sat with the same adapter."""
    _, at, digest = content_name.partition("@")
    same = BeliefRow.content_name.endswith(at + digest, autoescape=True)  # `known_of` chooses
    rows = connection.execute(select(BeliefRow.__table__).where(BeliefRow.learner == learner, same)).mappings()
    return {row["content_name"]: _belief(dict(row)) for row in rows if at and row["features"] == list(features)}


def _columns(belief: Belief, features: Sequence[str]) -> dict[str, object]:
    return {
        "features": list(features),
        "evidence": belief.evidence.astype("<f8").tobytes(),
        "moment": belief.moment.astype("<f8").tobytes(),
        "count": belief.count,
    }


def _belief(row: Mapping[str, object]) -> Belief:
    moment = np.frombuffer(row["moment"], "<f8")  # type: ignore[call-overload]  # bytes
    evidence = np.frombuffer(row["evidence"], "<f8").reshape(len(moment), len(moment))  # type: ignore[call-overload]  # bytes
    return Belief(evidence=evidence, moment=moment, count=int(row["count"]))  # type: ignore[call-overload]  # an int
