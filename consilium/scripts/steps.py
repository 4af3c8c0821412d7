"""The turns of a script one by one, loops unrolled."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from consilium.scripts.rows import Row
from consilium.scripts.script_file import TurnScript
from consilium.scripts.source import Place

if TYPE_CHECKING:
    from consilium.scripts.script import Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One turn that will be played."""

    turn: TurnScript
    place: Place
    """Where it stands in the file."""
    row: Row
    """Of the innermost loop over rows; empty outside of one."""
    round: int
    """Of the innermost loop, from 1."""
    fresh: bool
    """Whether a new conversation begins with it."""


def steps_of(script: "Script") -> Iterator[Step]:
    """Yield the steps in order."""
    start = Step(turn=script.file.turns[0], place=("turns",), row={}, round=1, fresh=True)
    yield from _steps(script, script.file.turns, start)


def count_steps(script: "Script", turn: TurnScript) -> int:
    """Return how many steps a turn or block makes, without making them."""
    inside = sum(count_steps(script, inner) for inner in turn.turns) if turn.turns else 1
    return inside * (len(script.rows[turn.for_each]) if turn.for_each else turn.repeat or 1)


def _steps(script: "Script", turns: tuple[TurnScript, ...], around: Step) -> Iterator[Step]:
    fresh = around.fresh
    for number, turn in enumerate(turns):
        for here in _rounds(script, turn, around):
            step = replace(here, turn=turn, place=(*around.place, number), fresh=fresh or turn.fresh)
            fresh = False
            if turn.turns:
                yield from _steps(script, turn.turns, replace(step, place=(*step.place, "turns")))
            else:
                yield step


def _rounds(script: "Script", turn: TurnScript, around: Step) -> Iterator[Step]:
    if turn.for_each:
        for number, row in enumerate(script.rows[turn.for_each], start=1):
            yield replace(around, row=row, round=number)
    elif turn.repeat:
        for number in range(1, turn.repeat + 1):
            yield replace(around, round=number)
    else:
        yield around
