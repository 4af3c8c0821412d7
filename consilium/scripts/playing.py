"""Play a script: one step after another, with what is expected of each."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from consilium.council.council import Council
from consilium.council.events import Concluded, Event
from consilium.council.options import AskOptions
from consilium.council.session import Session
from consilium.council.turn import Turn
from consilium.errors import BadMessage, ConsiliumError, EngineError, EngineLost, TurnFailed
from consilium.scripts.cast import Casting
from consilium.scripts.checking import Checking, Seen
from consilium.scripts.judge import Judge
from consilium.scripts.play import Check, Play, PlayedTurn, PlayEvent, Said
from consilium.scripts.soundness import check_members
from consilium.scripts.speakers import SpeakerPolicy
from consilium.scripts.steps import Step
from consilium.scripts.template import filled

if TYPE_CHECKING:
    from consilium.scripts.expectation import Expectation
    from consilium.scripts.script import Script
    from consilium.scripts.source import Place


class _Stopped(Exception):
    """The play cannot go on; says why."""


async def playing(script: "Script", council: Council) -> AsyncIterator[PlayEvent]:
    """Yield the events of a play; see `Script.stream`."""
    check_members(script, council.parts.catalogue)
    _check_council(script, council)
    stage = _Stage(script, council)
    stopped: str | None = None
    try:
        for step in script.steps():
            async for event in stage.turn(step):
                yield event
    except _Stopped as why:
        stopped = str(why)
    yield await stage.play(stopped)


async def ended(events: AsyncIterator[PlayEvent]) -> Play:
    """Listen to the end and return the play that the last event holds."""
    async for event in events:
        if isinstance(event, Play):
            return event
    raise EngineLost("the play ended without a report.")  # a breach of `playing`


def _check_council(script: "Script", council: Council) -> None:
    settings = council.parts.settings
    for field in ("seed", "deadline_s"):
        wanted, has = getattr(script.file.limits, field), getattr(settings, field)
        if wanted not in (None, has):
            raise script.source.fault(
                ("limits", field),
                f"this council has {field}={has!r}. Open it with `script.open()`, or with {wanted!r}.",
            )


class _Stage:
    """Where one play stands: its conversation, what was said, what was spent."""

    def __init__(self, script: "Script", council: Council) -> None:
        settings = council.parts.settings
        self._script = script
        self._council = council
        self._policy = SpeakerPolicy(
            Casting.of(script, council.parts.catalogue), seats=settings.seats, seed=settings.seed
        )
        self._judge = Judge(engine=council.parts.engine, catalogue=council.parts.catalogue)
        self._session = council.session()
        self._players: dict[str, Session] = {}
        """The conversation of each member that plays the user."""
        self._verdicts: dict[str, str] = {}
        self._played: list[PlayedTurn] = []
        self._total = len(script.steps())
        self._started = time.perf_counter()
        seconds = script.file.limits.seconds
        self._deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
        self._spent = 0

    async def turn(self, step: Step) -> AsyncIterator[PlayEvent]:
        """Play one step. Raises `_Stopped` where the play cannot go on."""
        number = len(self._played) + 1
        if step.fresh:
            self._session, self._players = self._council.session(), {}
        try:
            async with asyncio.timeout_at(self._deadline):
                said = await self._said(step, number)
            yield said
            async for event in self._in_time(self._stream(said, step)):
                yield event
                if isinstance(event, Concluded):
                    async with asyncio.timeout_at(self._deadline):
                        self._played.append(await self._concluded(said, event.turn, step))
        except (TurnFailed, BadMessage, EngineError) as error:
            raise _Stopped(f"turn {number}: {error}") from error
        except TimeoutError as error:
            if isinstance(error, ConsiliumError):  # a locked ledger is one too
                raise
            raise _Stopped(f"turn {number}: limits.seconds = {self._script.file.limits.seconds!r} passed.") from error
        yield self._played[-1]

    async def play(self, stopped: str | None) -> Play:
        """Return what the play came to."""
        checks: tuple[Check, ...] = ()
        if self._played and not stopped:
            checks = await self._checks(self._script.file.expect, ("expect",), Seen.of_play(self._played), None)
        return Play(
            title=self._script.file.title,
            turns=tuple(self._played),
            checks=checks,
            stopped=stopped,
            seconds=time.perf_counter() - self._started,
        )

    def _stream(self, said: Said, step: Step) -> AsyncIterator[Event]:
        options = self._limited(step, self._policy.options(step))
        if step.turn.method:
            options["method"] = step.turn.method
        return self._council.stream(said.message, session=self._session, **options)

    async def _in_time(self, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        """Yield the events. Raises `TimeoutError` at the play's deadline, and the turn in hand is given up.

        The time that a listener takes between two events is not interrupted: only waiting for the next one is.
        """
        while True:
            async with asyncio.timeout_at(self._deadline):
                event = await anext(events, None)
            if event is None:
                return
            yield event

    async def _concluded(self, said: Said, turn: Turn, step: Step) -> PlayedTurn:
        """Remember what the turn came to, check it, and let the router learn from it."""
        self._spent += turn.completion_tokens
        self._policy.sat(turn, step)
        self._verdicts["verdict"] = turn.verdict.text
        if step.turn.id:
            self._verdicts[f"verdicts.{step.turn.id}"] = turn.verdict.text
        checks = await self._checks(step.turn.expect, (*step.place, "expect"), Seen.of_turn(turn), step)
        if checks:
            score = sum(check.held for check in checks) / len(checks)
            await self._council.outcome(turn, score=score, source="script", key=f"script:{turn.id}")
        return PlayedTurn(said=said, turn=turn, checks=checks)

    async def _said(self, step: Step, number: int) -> Said:
        """Return the turn's message; a member that plays the user is asked for it in a conversation of its own."""
        tokens, player = 0, step.turn.played_by and self._script.member(step.turn.played_by)
        text = filled(step.turn.say or step.turn.cue or "{verdict}", self._values(step))
        if player:
            session = self._players.setdefault(player, self._council.session())
            played = await session.ask(text, **self._limited(step, AskOptions(members=(player,))))
            text, tokens = played.verdict.text, played.completion_tokens
            self._spent += tokens
        line = self._script.source.line(step.place)
        return Said(number=number, of=self._total, message=text, played_by=player or None, tokens=tokens, line=line)

    def _limited(self, step: Step, options: AskOptions) -> AskOptions:
        """Add the limits. Raises `_Stopped` where no token is left."""
        limits = self._script.file.limits
        if limits.tokens is not None:
            left = limits.tokens - self._spent
            if left < 1:
                raise _Stopped(f"limits.tokens = {limits.tokens:,} are spent ({self._spent:,}); turns are left.")
            options["token_budget"] = left
        options["max_tokens"] = step.turn.max_tokens or limits.max_tokens
        return options

    def _values(self, step: Step | None) -> dict[str, str]:
        here = {"round": str(step.round), **{f"row.{name}": text for name, text in step.row.items()}} if step else {}
        return {**here, **self._verdicts, **self._script.variables}

    async def _checks(
        self, expected: "Expectation | None", place: "Place", seen: Seen, step: Step | None
    ) -> tuple[Check, ...]:
        if expected is None:
            return ()
        checking = Checking(
            judge=self._judge,
            member=self._script.member,
            values=self._values(step),
            line=lambda field: self._script.source.line((*place, field)),
        )
        return await checking.checks(expected, seen)
