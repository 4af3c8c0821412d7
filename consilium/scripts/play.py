"""What a play comes to, and what happens on the way."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from consilium.council.events import Event
from consilium.council.turn import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One expectation, and whether it held."""

    name: str
    """The expectation's field."""
    wanted: str
    found: str
    held: bool
    line: int
    """In the script's file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A turn's message, before it is put to the council."""

    number: int
    """From 1."""
    of: int
    """How many turns the script has."""
    message: str
    played_by: str | None
    """The member that played the user."""
    tokens: int
    """That it spoke as the user."""
    line: int
    """In the script's file."""
    kind: Literal["said"] = "said"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedTurn:
    """One turn that was played."""

    said: Said
    turn: Turn
    checks: tuple[Check, ...]
    kind: Literal["played"] = "played"

    @property
    def tokens(self) -> int:
        """Tokens of all statements, the user's included where a member played it."""
        return self.said.tokens + self.turn.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What came of playing a script."""

    title: str
    turns: tuple[PlayedTurn, ...]
    checks: tuple[Check, ...]
    """Of the play as a whole."""
    stopped: str | None
    """Why it did not reach its end; None where it did."""
    seconds: float
    differences: tuple[str, ...] = ()
    """Where a replay decided otherwise than the play that was recorded."""
    kind: Literal["play"] = "play"

    @property
    def tokens(self) -> int:
        """Tokens of all statements."""
        return sum(turn.tokens for turn in self.turns)

    @property
    def passed(self) -> bool:
        """Whether it reached its end, everything that was expected held, and a replay decided alike."""
        return not self.stopped and not self.differences and not any(True for _ in self.failed())

    def failed(self) -> Iterator[Check]:
        """Yield the expectations that did not hold."""
        checks = (*(check for turn in self.turns for check in turn.checks), *self.checks)
        return (check for check in checks if not check.held)


PlayEvent: TypeAlias = Said | Event | PlayedTurn | Play
"""A turn is told as `Said`, the council's own events, and `PlayedTurn`; a `Play` comes last."""
