"""`ScriptedEngine`: the shipped test double. It says what it was told to say, and needs no model."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeAlias

from consilium.engines.drafts import drafted
from consilium.engines.protocol import Continuation, Delta, EngineInfo, Likelihood, Message, Prompt, Spoken
from consilium.errors import BadMessage, EngineError, EngineLost, SeatDeadline, UnknownMember

Reply: TypeAlias = str | EngineError | Callable[[Prompt], str | EngineError]
"""What a member says: a text, an error to be raised, or a function of the prompt that returns either."""


class ScriptedEngine:
    """Answers for each member with a fixed text, an error, or a function of the prompt. A word counts as a token.

    Args:
        replies: by member; no other member is known.
        token_s: seconds that each word takes.
        context_tokens: words that prompt and statement may have together.

    The likelihood of a text is that of a writer who takes each word of the member's scripted reply with probability
    1/2, and any other with 1/1,000.
    """

    def __init__(self, replies: Mapping[str, Reply], *, token_s: float = 0.0, context_tokens: int = 8_192) -> None:
        self._replies = dict(replies)
        self._token_s = token_s
        self._context_tokens = context_tokens
        self._open = False
        self.calls: list[Prompt] = []
        """Every prompt that was put to `generate`, in order."""

    async def __aenter__(self) -> Self:
        """Open the engine."""
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the engine; statements in hand end with `EngineLost` at their next word."""
        self._open = False

    def describe(self) -> EngineInfo:
        """Say what this engine is."""
        return EngineInfo(name="scripted", base="scripted@000000000000", context_tokens=self._context_tokens)

    async def ensure_ready(self, members: Sequence[str]) -> None:
        """Check that every named member has a reply."""
        self._check_open()
        for name in members:
            self._reply(name)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the number of words."""
        return sum(len(message.content.split()) for message in messages)

    def generate(self, prompt: Prompt) -> AsyncIterator[Delta | Spoken]:
        """Yield the reply word by word, and last the finished statement."""
        return drafted(self._draft, self.likelihood, prompt)

    async def _draft(self, prompt: Prompt) -> AsyncGenerator[Delta | Spoken, None]:
        """Yield one draft of a reply."""
        self._check_open()
        reply = self._reply(prompt.member)
        self.calls.append(prompt)
        loop = asyncio.get_running_loop()
        started = loop.time()
        prompt_tokens = await self.count_tokens(prompt.messages)
        if prompt_tokens + prompt.sampling.max_tokens > self._context_tokens:
            raise BadMessage(f"the prompt has {prompt_tokens:,} tokens; the context holds {self._context_tokens:,}.")
        answer = reply(prompt) if callable(reply) else reply
        if isinstance(answer, EngineError):
            raise answer
        text, whole = _cut(answer, prompt)
        words = text.split(" ") if text else []
        for index, word in enumerate(words):
            await self._speak_one(prompt, loop.time() - started)
            yield Delta(text=f" {word}" if index else word)
        yield Spoken(
            text=text,
            finish="stop" if whole else "length",
            prompt_tokens=prompt_tokens,
            completion_tokens=len(words),
            first_token_ms=self._token_s * 1_000,
            latency_ms=(loop.time() - started) * 1_000,
        )

    async def likelihood(self, continuations: Sequence[Continuation]) -> tuple[Likelihood, ...]:
        """Return each continuation's likelihood under the scripted writer."""
        self._check_open()
        return tuple(self._likelihood(asked) for asked in continuations)

    def _likelihood(self, asked: Continuation) -> Likelihood:
        reply = self._reply(asked.member)
        answer = reply(Prompt(member=asked.member, messages=asked.messages)) if callable(reply) else reply
        known = set() if isinstance(answer, EngineError) else set(answer.split())
        words = asked.text.split()
        nats = sum(-0.6931 if word in known else -6.9078 for word in words) - 0.1
        return Likelihood(log_probability=nats, tokens=len(words) + 1)

    async def _speak_one(self, prompt: Prompt, passed_s: float) -> None:
        left = None if prompt.deadline_s is None else prompt.deadline_s - passed_s
        wait = self._token_s if left is None else min(self._token_s, max(left, 0.0))
        if wait:
            await asyncio.sleep(wait)
        if left is not None and left <= self._token_s:
            raise SeatDeadline(f"{prompt.member!r} did not finish within deadline_s={prompt.deadline_s!r}.")
        self._check_open()

    def _reply(self, member: str) -> Reply:
        try:
            return self._replies[member]
        except KeyError as error:
            raise UnknownMember(
                f"no reply is scripted for {member!r}. There are: {', '.join(self._replies)}."
            ) from error

    def _check_open(self) -> None:
        if not self._open:
            raise EngineLost("the scripted engine is not open. Use it inside `async with engine:`.")


def _cut(answer: str, prompt: Prompt) -> tuple[str, bool]:
    """Return the answer up to the first stop string and the token limit, and whether nothing but a stop cut it."""
    ends = [at for stop in prompt.sampling.stop if (at := answer.find(stop)) >= 0]
    text = answer[: min(ends, default=len(answer))]
    words = text.split(" ")
    limit = prompt.sampling.max_tokens
    return " ".join(words[:limit]), len(words) <= limit
