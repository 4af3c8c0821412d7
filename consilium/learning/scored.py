"""Scored turns: what was decided, by which chances, and what came of it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from consilium.learning.beliefs import Belief, Floats, Prior, foresee
from consilium.learning.off_policy import Logged
from consilium.learning.overlap import possible_sets, probability, unsupported
from consilium.ledger.entries import OutcomeEntry, TurnLog
from consilium.ledger.protocol import Ledger
from consilium.ledger.reading import pages

_MODEL = Prior(memory=1e12)
"""Of the model of outcomes that doubly robust estimates lean on; it forgets nothing."""
_FOLDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A turn whose outcome is known and whose seats a router chose."""

    log: TurnLog
    outcome: float
    """The weighted mean of the turn's outcomes."""
    seated: frozenset[str]
    """The members that spoke."""
    scores: Mapping[str, float]
    """Of the router that decided."""
    propensities: Mapping[str, float]
    """Under the router that decided."""
    history: tuple[str, ...] = ()
    """The session's earlier messages, oldest first."""
    sat: tuple[str, ...] = ()
    """Who sat in the turn before."""


def outcome_of(outcomes: Sequence[OutcomeEntry]) -> float | None:
    """Return the weighted mean of the outcomes of the whole turn; of its seats where there are no others."""
    of_turn = [each for each in outcomes if each.seat is None] or list(outcomes)
    total = sum(each.weight for each in of_turn)
    return sum(each.score * each.weight for each in of_turn) / total if total else None


def scored(log: TurnLog, history: tuple[str, ...] = (), sat: tuple[str, ...] = ()) -> Scored | None:
    """Return the turn if it is scored and a router chose its seats; None for all others."""
    outcome = outcome_of(log.outcomes)
    if outcome is None or log.decision is None or log.verdict is None or log.decision.router == "pinned":
        return None
    return Scored(
        log=log,
        outcome=outcome,
        seated=frozenset(seat.member for seat in log.decision.seats),
        scores=log.decision.scores,
        propensities=log.decision.propensities,
        history=history,
        sat=sat,
    )


@dataclass(slots=True)
class _Past:
    messages: list[str] = field(default_factory=list)
    sat: tuple[str, ...] = ()


async def scored_turns(ledger: Ledger, *, since: datetime | None = None) -> AsyncIterator[Scored]:
    """Yield the scored turns of a ledger, oldest first, each with what its session had heard before."""
    sessions: dict[str, _Past] = {}
    async for page in pages(ledger):
        for log in page:
            past = sessions.setdefault(log.turn.session_id, _Past())
            turn = scored(log, tuple(past.messages), past.sat)
            if log.verdict is not None:
                past.messages.append(log.turn.message)
                past.sat = tuple(seat.member for seat in log.seats)
            if turn is not None and (since is None or log.turn.admitted_at >= since):
                yield turn


def logged(turns: Sequence[Scored], targets: Sequence[Mapping[str, float]]) -> Logged:
    """Return the turns as a router with these propensities, one mapping a turn, would have decided them.

    What doubly robust estimates expect of a turn's seats comes from beliefs about every member, learned from the
    sessions of the other fold; of several seats it is the mean.

    Raises:
        BadInput: a turn whose propensities leave more than one seat to chance.
    """
    worths = _worths(turns)
    predicted = [_mean(worth, turn.seated) for worth, turn in zip(worths, turns, strict=True)]
    expected = [
        sum(chance * _mean(worth, members) for members, chance in possible_sets(target).items())
        for worth, target in zip(worths, targets, strict=True)
    ]
    pairs = list(zip(turns, targets, strict=True))
    return Logged(
        outcomes=np.array([turn.outcome for turn in turns], dtype=float),
        behaviour=np.array([probability(turn.propensities, turn.seated) for turn in turns], dtype=float),
        target=np.array([probability(target, turn.seated) for turn, target in pairs], dtype=float),
        predicted=np.array(predicted, dtype=float),
        expected=np.array(expected, dtype=float),
        unsupported=np.array([unsupported(target, turn.propensities) for turn, target in pairs], dtype=float),
        sessions=[turn.log.turn.session_id for turn in turns],
    )


def _worths(turns: Sequence[Scored]) -> list[dict[str, float]]:
    """Return what each member's outcome on each turn should be, by what was learned from the other fold."""
    names = sorted({name for turn in turns for name in (*turn.scores, *turn.seated)})
    folds = {session: place % _FOLDS for place, session in enumerate({t.log.turn.session_id: None for t in turns})}
    beliefs = [{name: Belief.none(len(names)) for name in names} for _ in range(_FOLDS)]
    rows: list[Floats] = [np.array([turn.scores.get(name, 0.0) for name in names]) for turn in turns]
    for turn, row in zip(turns, rows, strict=True):
        for fold in range(_FOLDS):
            if folds[turn.log.turn.session_id] != fold:
                for name in turn.seated:
                    belief = beliefs[fold][name]
                    beliefs[fold][name] = belief.after(row, turn.outcome, 1.0, _MODEL, memory=_MODEL.memory)
    found = []
    for turn, row in zip(turns, rows, strict=True):
        foresight = foresee(beliefs[folds[turn.log.turn.session_id]], row, _MODEL)
        means = foresight.level * row + foresight.mean
        found.append(dict(zip(names, means.clip(0, 1).tolist(), strict=True)))
    return found


def _mean(worth: Mapping[str, float], members: frozenset[str]) -> float:
    return sum(worth.get(name, 0.0) for name in members) / len(members) if members else 0.0
