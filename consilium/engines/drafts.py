"""Drafts: a statement is drawn several times, and the one is said that its member finds likeliest.

Sample and rank (Adiwardana et al., "Towards a Human-like Open-Domain Chatbot", arXiv 2001.09977), for its length.
Taking the likeliest token each time does not lead to the likeliest statement: a slip is likely where it is made and
makes all that follows unlikely.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TypeAlias

from consilium.concurrency import all_of
from consilium.engines.protocol import Continuation, Delta, Likelihood, Prompt, Spoken
from consilium.errors import SeatDeadline

Speak: TypeAlias = Callable[[Prompt], AsyncGenerator[Delta | Spoken, None]]
"""Draws one statement; yields as `consilium.engines.protocol.Engine.generate` does."""
Weigh: TypeAlias = Callable[[Sequence[Continuation]], Awaitable[tuple[Likelihood, ...]]]
"""Tells how likely texts are, as `consilium.engines.protocol.Engine.likelihood` does."""


async def drafted(speak: Speak, weigh: Weigh, prompt: Prompt) -> AsyncIterator[Delta | Spoken]:
    """Yield a statement for which as many drafts were drawn as the prompt's sampling asks for.

    Of several nothing is told before all have ended: the statement then is one piece, its tokens are those of all
    drafts, and its times are theirs together. The first is waited for, so that the others find the prompt read.

    Args:
        speak: draws one.
        weigh: tells how likely the member finds them.
        prompt: what is asked; its deadline is that of all drafts together.

    Raises as ``speak`` and ``weigh``.
    """
    asked = each_asked(prompt)
    if len(asked) == 1:
        async with aclosing(speak(prompt)) as pieces:
            async for piece in pieces:
                yield piece
        return
    started = time.perf_counter()
    try:
        async with asyncio.timeout(prompt.deadline_s):
            drafts = [await _whole(speak, asked[0])]
            drafts += await all_of([_whole(speak, each) for each in asked[1:]])
            found = await weighed(weigh, prompt, [draft.text for draft in drafts])
    except TimeoutError as error:
        if isinstance(error, SeatDeadline):
            raise
        raise SeatDeadline(
            f"{prompt.member!r} did not finish its {len(asked)} drafts within deadline_s={prompt.deadline_s!r}. Allow "
            "more time, or fewer drafts or tokens."
        ) from error
    took_ms = 1e3 * (time.perf_counter() - started)
    said = drafts[likeliest(found, prompt.sampling.length_penalty)]
    if said.text:
        yield Delta(text=said.text)
    yield replace(
        said,
        completion_tokens=sum(draft.completion_tokens for draft in drafts),
        first_token_ms=took_ms,
        latency_ms=took_ms,
    )


def each_asked(prompt: Prompt) -> list[Prompt]:
    """Return what each draft is asked: the same, by a seed of its own; the first by the prompt's."""
    sampling = prompt.sampling.model_copy(update={"drafts": 1, "length_penalty": 1.0})
    count = prompt.sampling.drafts_drawn
    return [replace(prompt, sampling=sampling, seed=_seed(prompt.seed, number)) for number in range(count)]


def _seed(seed: int, draft: int) -> int:
    """Return a draft's seed. Not the next number: that is the seed of somebody's next statement."""
    if not draft:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed} {draft}".encode()).digest()[:4], "little") >> 1


async def _whole(speak: Speak, prompt: Prompt) -> Spoken:
    async with aclosing(speak(prompt)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Spoken):
                return piece
    raise RuntimeError(f"a draft of {prompt.member!r} ended without a statement")  # a breach of the Engine protocol


async def weighed(weigh: Weigh, prompt: Prompt, texts: Sequence[str]) -> list[Likelihood]:
    """Return how likely the member finds each text as its statement; where all are one, nobody is asked."""
    different = list(dict.fromkeys(texts))
    if len(different) == 1:
        return [Likelihood(log_probability=0.0, tokens=1)] * len(texts)
    asked = [Continuation(member=prompt.member, messages=prompt.messages, text=text) for text in different]
    found = dict(zip(different, await weigh(asked), strict=True))
    return [found[text] for text in texts]


def likeliest(found: Sequence[Likelihood], length_penalty: float) -> int:
    """Return the place of the likeliest for its length, which counts to that power."""
    return max(
        range(len(found)), key=lambda place: found[place].log_probability / found[place].tokens ** length_penalty
    )
