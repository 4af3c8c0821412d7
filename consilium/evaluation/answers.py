"""What arms answered to rows, and how likely they found the references: asked once, and kept on disk."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from consilium.concurrency import all_of
from consilium.engines.protocol import Continuation, Engine, Likelihood, Message, Prompt, Spoken
from consilium.errors import EngineLost
from consilium.evaluation.arms import Arm
from consilium.evaluation.kept import Kept
from consilium.training.rows import Row

AT_ONCE = 64
"""Statements that are asked for at one time: enough to keep the engine's batch full."""
SCORED_AT_ONCE = 16
"""Continuations in one call."""

OnDone = Callable[[int], None]
"""Told how many more rows were answered."""


class Answers:
    """Asks an engine, and remembers by what was asked of whose weights.

    See `Kept`: an evaluation with other rows or a newer member pays for what is new.
    """

    def __init__(self, engine: Engine, file: Path, *, seed: int = 0) -> None:
        self._engine = engine
        self._seed = seed
        self._known = Kept(file)
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def statements(self, arm: Arm, rows: Sequence[Row], on_done: OnDone = lambda _count: None) -> list[str]:
        """Return what the arm says to each row."""

        async def answer(row: Row) -> str:
            async with self._gate:
                said = await self._remembered(
                    {"say": _asked(arm.messages(row)), "how": arm.sampling.model_dump(mode="json"), "seed": self._seed},
                    arm,
                    lambda: self._speak(arm, row),
                )
            on_done(1)
            return str(said)

        return await all_of([answer(row) for row in rows])

    async def likelihoods(
        self, arm: Arm, rows: Sequence[Row], replies: Sequence[str], on_done: OnDone = lambda _count: None
    ) -> list[Likelihood]:
        """Return how likely the arm finds each reply to the row in the same place."""
        keys = [
            self._key({"find": _asked(arm.messages(row)), "reply": reply}, arm)
            for row, reply in zip(rows, replies, strict=True)
        ]
        missing = [place for place, key in enumerate(keys) if key not in self._known]
        missing.sort(key=lambda place: rows[place].request)  # replies to one row share the reading of its prompt
        for start in range(0, len(missing), SCORED_AT_ONCE):
            places = missing[start : start + SCORED_AT_ONCE]
            asked = [
                Continuation(member=arm.member.name, messages=arm.messages(rows[place]), text=replies[place])
                for place in places
            ]
            for place, found in zip(places, await self._engine.likelihood(asked), strict=True):
                self._known.keep(keys[place], [found.log_probability, found.tokens])
            on_done(len(places))
        on_done(len(keys) - len(missing))
        return [Likelihood(log_probability=self._known[key][0], tokens=self._known[key][1]) for key in keys]

    async def _remembered(self, asked: dict[str, Any], arm: Arm, ask: Callable[[], Awaitable[str]]) -> object:
        key = self._key(asked, arm)
        if key not in self._known:
            self._known.keep(key, await ask())
        return self._known[key]

    def _key(self, asked: dict[str, Any], arm: Arm) -> str:
        """Name a question by its content, and by the engine, base and weights that answer it, not by who the arm is."""
        weights = arm.member.content_name if arm.member.adapter else ""
        info = self._engine.describe()
        return hashlib.sha256(json.dumps([info.name, info.base, weights, asked], sort_keys=True).encode()).hexdigest()[
            :24
        ]

    async def _speak(self, arm: Arm, row: Row) -> str:
        prompt = Prompt(member=arm.member.name, messages=arm.messages(row), sampling=arm.sampling, seed=self._seed)
        async for piece in self._engine.generate(prompt):
            if isinstance(piece, Spoken):
                return piece.text
        raise EngineLost(f"{arm.member.name!r} ended without a statement to {row.request!r:.60}.")


def _asked(messages: Sequence[Message]) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in messages]
