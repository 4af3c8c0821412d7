"""`EmbeddedEngine`: the whole council in this process, on a CPU if need be."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from consilium.engines.drafts import drafted
from consilium.engines.embedded.batch import MAX_ROWS
from consilium.engines.embedded.model import Model, Scored
from consilium.engines.embedded.row import Piece, Row
from consilium.engines.embedded.worker import Job, Worker
from consilium.engines.protocol import Continuation, Delta, EngineInfo, Likelihood, Message, Prompt, Spoken
from consilium.engines.tiers import CAPACITY, Tally, Tier
from consilium.engines.tokens import Tokens
from consilium.errors import BadMessage, BadSettings, EngineLost, SeatDeadline
from consilium.members.base import Base
from consilium.members.catalogue import Catalogue
from consilium.settings import Precision

SCORED_AT_ONCE = 16
"""Continuations that are scored between two steps of those that speak."""

Result = TypeVar("Result")


class EmbeddedEngine:
    """Serves the members of a catalogue, all adapters in one batch.

    Rows of one turn or of many join and leave the batch from token to token, in a thread of its own. See
    `consilium.engines.protocol.Engine` for what each method promises.

    Args:
        base: the model.
        catalogue: the members.
        capacity: adapters that are held in memory; of more, those that were not needed for longest are read again.
        pinned: names of members whose adapters stay there.

    Raises:
        UnknownMember: a pinned member that the catalogue does not hold.
    """

    def __init__(
        self,
        base: Base,
        catalogue: Catalogue,
        *,
        capacity: int = CAPACITY,
        pinned: Sequence[str] = (),
        precision: Precision = "float32",
    ) -> None:
        self._base = base
        self._catalogue = catalogue
        self._tokens = Tokens(base)
        self._memory = Tier(
            Tally(place="here", tier="memory", capacity=capacity),
            pinned=[member.content_name for member in catalogue.pick(pinned)],
        )
        self._slots = Tally(place="here", tier="engine", capacity=MAX_ROWS)
        self._name = "embedded" if precision == "float32" else f"embedded ({precision})"
        load = partial(Model, base, self._memory, self._slots, precision)
        self._worker = Worker(load, catalogue, self._tokens)
        self._rows: set[Row] = set()

    async def __aenter__(self) -> Self:
        """Start the worker, which begins to load the base model in the background."""
        self._worker.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every call in hand with `EngineLost` and stop the worker."""
        for row in self._rows:
            row.fail(EngineLost(f"{row.prompt.member!r} was not heard: the engine was closed."))
            row.cancelled = True
        await asyncio.to_thread(self._worker.stop)

    def describe(self) -> EngineInfo:
        """Say what this engine is."""
        return EngineInfo(
            name=self._name,
            base=self._base.name,
            context_tokens=self._base.context_tokens,
            tiers=(replace(self._memory.tally), replace(self._slots)),
        )

    async def ensure_ready(self, members: Sequence[str]) -> None:
        """Load the named members' adapters."""
        wanted = self._catalogue.pick(members)

        def load(model: Model) -> None:
            for member in wanted:
                model.load(member, ahead=True)

        await self._run(load)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the number of tokens of the rendered messages."""
        return len(await asyncio.to_thread(self._tokens.prompt, messages))

    def generate(self, prompt: Prompt) -> AsyncIterator[Delta | Spoken]:
        """Yield the statement piece by piece, and last the finished statement."""
        return drafted(self._draft, self.likelihood, prompt)

    async def _draft(self, prompt: Prompt) -> AsyncGenerator[Delta | Spoken, None]:
        """Yield one draft of a statement."""
        member = self._catalogue.get(prompt.member)
        if prompt.schema is not None:
            raise BadSettings(
                f"schema={prompt.schema!r:.80}: the embedded engine holds no statement to a schema. Ask a vLLM server "
                "(engine='vllm'), or check what is said."
            )
        loop = asyncio.get_running_loop()
        ends_at = None if prompt.deadline_s is None else loop.time() + prompt.deadline_s
        ids = await asyncio.to_thread(self._tokens.prompt, prompt.messages)
        self._check_fits(len(ids), prompt.sampling.max_tokens)
        pieces: asyncio.Queue[Piece] = asyncio.Queue()
        row = Row(prompt, member.content_name, ids, lambda piece: loop.call_soon_threadsafe(pieces.put_nowait, piece))
        self._worker.submit(row)
        self._rows.add(row)
        try:
            while True:
                left = None if ends_at is None else max(0.0, ends_at - loop.time())
                piece = await asyncio.wait_for(pieces.get(), left)
                if isinstance(piece, Exception):
                    raise piece
                yield piece
                if isinstance(piece, Spoken):
                    return
        except TimeoutError as error:
            if isinstance(error, SeatDeadline):
                raise
            raise SeatDeadline(
                f"{prompt.member!r} did not finish within deadline_s={prompt.deadline_s!r} "
                f"({len(row.drawn)} tokens were spoken). Allow more time, or fewer tokens."
            ) from error
        finally:
            row.cancelled = True
            self._rows.discard(row)

    async def likelihood(self, continuations: Sequence[Continuation]) -> tuple[Likelihood, ...]:
        """Return each continuation's likelihood; rows that speak meanwhile go on between them."""
        if not continuations:
            return ()
        members = [self._catalogue.get(asked.member) for asked in continuations]
        encoded = await asyncio.to_thread(self._encode, continuations)
        for prompt, reply in encoded:
            self._check_fits(len(prompt), len(reply))
        scored = [
            Scored(member=member, prompt=prompt, reply=reply)
            for member, (prompt, reply) in zip(members, encoded, strict=True)
        ]
        found: list[Likelihood] = []
        for start in range(0, len(scored), SCORED_AT_ONCE):
            found += await self._run(partial(Model.likelihoods, asked=scored[start : start + SCORED_AT_ONCE]))
        return tuple(found)

    def _encode(self, continuations: Sequence[Continuation]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        return [
            (tuple(self._tokens.prompt(asked.messages)), tuple(self._tokens.reply(asked.text)))
            for asked in continuations
        ]

    def _check_fits(self, prompt: int, statement: int) -> None:
        if prompt + statement > self._base.context_tokens:
            raise BadMessage(
                f"the prompt has {prompt:,} tokens and the statement may have {statement:,}; the context of "
                f"{self._base.name!r} holds {self._base.context_tokens:,}. Shorten the message."
            )

    async def _run(self, task: Callable[[Model], Result]) -> Result:
        job = Job(task)
        self._worker.submit(job)
        return await asyncio.wrap_future(job.result)
