"""An engine that is asked nothing twice: what it said stays on disk, whoever of several arms wants to hear it."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from consilium.engines.protocol import Continuation, Delta, Engine, Likelihood, Prompt, Spoken
from consilium.engines.wrapped import Wrapped
from consilium.errors import EngineLost, JobError
from consilium.evaluation.kept import Kept


@dataclass(slots=True, kw_only=True)
class Paid:
    """What the statements that are kept have cost."""

    statements: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Prompts and statements together."""
        return self.prompt_tokens + self.completion_tokens

    def count(self, spoken: Spoken) -> None:
        """Count one more statement."""
        self.statements += 1
        self.prompt_tokens += spoken.prompt_tokens
        self.completion_tokens += spoken.completion_tokens


class RememberingEngine(Wrapped):
    """An engine in front of another. See `consilium.engines.protocol.Engine`.

    A statement is known by the engine, the base, the digest of its member's weights, its messages, its sampling and its
    seed. It is told in one piece, with the tokens and milliseconds that it took when it was made. Errors are not kept.

    Args:
        engine: the other.
        kept: where statements and likelihoods stay.
        weights: content name of each member.
        token_budget: once the kept statements have cost so many tokens, no other is begun.
    """

    def __init__(
        self, engine: Engine, kept: Kept, weights: Mapping[str, str], *, token_budget: int | None = None
    ) -> None:
        super().__init__(engine)
        self._kept = kept
        self._weights = weights
        self._token_budget = token_budget
        self._being_made: dict[str, asyncio.Lock] = {}
        self.paid = Paid()
        self.lost: EngineLost | JobError | None = None
        """Why nothing new can be heard or kept any more: a turn that goes on all the same is not what it would be."""
        for key in kept:
            if isinstance(value := kept[key], dict):
                self.paid.count(Spoken(**value))

    @property
    def is_spent(self) -> bool:
        """Whether the budget is."""
        return self._token_budget is not None and self.paid.tokens >= self._token_budget

    def key(self, asked: Prompt | Continuation) -> str:
        """Return the name of a statement or a likelihood, by all that it depends on."""
        what = asdict(asked)
        for how_it_is_heard in ("member", "deadline_s"):
            what.pop(how_it_is_heard, None)
        what["weights"] = self._weights.get(asked.member, asked.member)
        what["engine"], what["base"] = (info := self.describe()).name, info.base
        if isinstance(asked, Prompt):
            what["sampling"] = asked.sampling.model_dump(mode="json")
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:24]

    def knows(self, asked: Prompt | Continuation) -> bool:
        """Say whether the answer is kept."""
        return self.key(asked) in self._kept

    def recalled(self, prompt: Prompt) -> Spoken | None:
        """Return the statement that is kept; None where none is."""
        key = self.key(prompt)
        return Spoken(**self._kept[key]) if key in self._kept else None

    async def generate(self, prompt: Prompt) -> AsyncIterator[Delta | Spoken]:
        """Yield the statement; asked for by several at one time it is made once. Raises as the engine."""
        key = self.key(prompt)
        async with self._being_made.setdefault(key, asyncio.Lock()):
            spoken = Spoken(**self._kept[key]) if key in self._kept else await self._made(key, prompt)
        self._being_made.pop(key, None)
        if spoken.text:
            yield Delta(text=spoken.text)
        yield spoken

    async def likelihood(self, continuations: Sequence[Continuation]) -> tuple[Likelihood, ...]:
        """Return what is known, and ask the engine for the rest."""
        keys = [self.key(asked) for asked in continuations]
        asked_by_key = dict(zip(keys, continuations, strict=True))
        missing = {key: asked for key, asked in asked_by_key.items() if key not in self._kept}
        if missing:
            await self._find(missing)
        return tuple(_likelihood(self._kept[key]) for key in keys)

    async def _find(self, missing: Mapping[str, Continuation]) -> None:
        try:
            for key, found in zip(missing, await self._engine.likelihood(list(missing.values())), strict=True):
                self._kept.keep(key, [found.log_probability, found.tokens])
        except (EngineLost, JobError) as error:
            self.lost = error
            raise

    async def _made(self, key: str, prompt: Prompt) -> Spoken:
        if self.lost is None and self.is_spent:
            self.lost = EngineLost(f"the budget of {self._token_budget:,} tokens is spent")
        if self.lost is not None:
            raise self.lost
        try:
            async for piece in self._engine.generate(prompt):
                if isinstance(piece, Spoken):
                    self._kept.keep(key, asdict(piece))
                    self.paid.count(piece)
                    return piece
        except (EngineLost, JobError) as error:
            self.lost = error
            raise
        raise EngineLost(f"{prompt.member!r} ended without a statement.")


def _likelihood(kept: Sequence[Any]) -> Likelihood:
    return Likelihood(log_probability=kept[0], tokens=kept[1])
