"""`VllmEngine`: the members of a catalogue, served by vLLM."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from secrets import SystemRandom
from types import TracebackType
from typing import Any, Self, TypeVar

from consilium.engines.drafts import drafted
from consilium.engines.protocol import Continuation, Delta, EngineInfo, Likelihood, Message, Prompt, Spoken
from consilium.engines.tiers import CAPACITY
from consilium.engines.tokens import Tokens
from consilium.engines.vllm.adapters import ServedAdapters
from consilium.engines.vllm.null_adapter import null_adapter, write_null_adapter
from consilium.engines.vllm.replicas import Replica, choose
from consilium.engines.vllm.server import Again, Served, Server
from consilium.errors import AdapterMissing, BadMessage, BadSettings, EngineLost, SeatDeadline
from consilium.members.base import Base
from consilium.members.catalogue import Catalogue, Member

ATTEMPTS = 4
"""How often a call is made before it is given up. Nothing is repeated of which a part was heard."""
PAUSE_S = 0.1
"""Before the second attempt; twice as long before each one after."""
MOST_PAUSE_S = 10.0
SCORED_AT_ONCE = 16

Result = TypeVar("Result")


class VllmEngine:
    """Speaks to one or several vLLM servers. See `consilium.engines.protocol.Engine` for what each method promises.

    Args:
        base: the model that the servers run; its tokenizer is read here.
        catalogue: the members.
        urls: of the servers, up to and with ``/v1``.
        key: that they ask for, if any.
        seen_at: the folder of the personas as the servers see it; None: as it is here.
        capacity: adapters that each server is to know at one time; of more, those that were not needed for longest are
            given back.
        pinned: names of members whose adapters never are.
        work: a folder, as the servers see it too, from which one that was not started with the adapter that changes
            nothing is given it (see `null_adapter`); None: it is not.

    Raises:
        BadSettings: no URL.
        UnknownMember: a pinned member that the catalogue does not hold.
        MissingExtra: the client is not installed.
    """

    def __init__(
        self,
        base: Base,
        catalogue: Catalogue,
        urls: Sequence[str],
        *,
        key: str | None = None,
        seen_at: Path | None = None,
        capacity: int = CAPACITY,
        pinned: Sequence[str] = (),
        work: Path | None = None,
    ) -> None:
        if not urls:
            raise BadSettings("base_url=(): the vllm engine needs a server. Give its URL, up to and with /v1.")
        nobody, _ = null_adapter(base)
        kept = [nobody, *(member.content_name for member in catalogue.pick(pinned))]
        servers = [Server(url, key) for url in urls]
        here, there = catalogue.root, seen_at or catalogue.root.resolve()
        self._replicas = [
            Replica(server=each, adapters=ServedAdapters(each, here, there, pinned=kept, capacity=capacity))
            for each in servers
        ]
        self._base = base
        self._catalogue = catalogue
        self._nobody = nobody
        self._own = {nobody, *(member.content_name for member in catalogue.members.values())}
        self._work = work
        self._tokens = Tokens(base)
        self._chance = SystemRandom()
        self._closed: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        """Ask the servers what they serve. Raises `EngineLost` where none answers."""
        self._closed = asyncio.get_running_loop().create_future()
        found = await asyncio.gather(*(self._greet(each) for each in self._replicas), return_exceptions=True)
        lost = [error for error in found if isinstance(error, BaseException)]
        if len(lost) == len(self._replicas):
            await self.__aexit__(None, None, None)
            error = lost[0].error if isinstance(lost[0], Again) else lost[0]
            raise EngineLost(f"{error} Start a server (consilium engine up), or correct base_url.") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every call in hand with `EngineLost` and close the connections."""
        if self._closed and not self._closed.done():
            self._closed.set_result(None)
        await asyncio.gather(*(each.server.close() for each in self._replicas))

    def describe(self) -> EngineInfo:
        """Say what this engine is."""
        return EngineInfo(
            name="vllm",
            base=self._base.name,
            context_tokens=self._base.context_tokens,
            tiers=tuple(replace(each.adapters.tier.tally) for each in self._replicas),
        )

    @property
    def replicas(self) -> Sequence[Replica]:
        """The servers, and what is known of them."""
        return tuple(self._replicas)

    async def ensure_ready(self, members: Sequence[str]) -> None:
        """Have each member's home load its adapter."""

        async def ready(replica: Replica, member: Member) -> None:
            await replica.adapters.ensure(member, ahead=True)

        known = [self._member(name) for name in dict.fromkeys(members)]
        await asyncio.gather(*(self._tried(member, ready) for member in known))

    def _member(self, name: str) -> Member:
        """Return a member, of this base: a server would take an adapter of another one for its own."""
        member = self._catalogue.get(name)
        member.check_base(self._base.name)
        return member

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the number of tokens of the rendered messages."""
        return len(await asyncio.to_thread(self._tokens.prompt, messages))

    def generate(self, prompt: Prompt) -> AsyncIterator[Delta | Spoken]:
        """Yield the statement piece by piece, and last the finished statement."""
        return drafted(self._draft, self.likelihood, prompt)

    async def _draft(self, prompt: Prompt) -> AsyncGenerator[Delta | Spoken, None]:
        """Yield one draft of a statement."""
        member, clock = self._member(prompt.member), _Clock(prompt.member, prompt.deadline_s)
        self._check_fits(await self.count_tokens(prompt.messages), prompt.sampling.max_tokens)
        said: list[str] = []
        for attempt in range(ATTEMPTS):
            try:
                async with self._heard(member, clock) as replica:
                    async for piece in self._pieces(replica, member, prompt, clock, said):
                        yield piece
                return
            except Again as again:
                await self._pause(again, attempt, clock, heard=bool(said))

    async def likelihood(self, continuations: Sequence[Continuation]) -> tuple[Likelihood, ...]:
        """Return each continuation's likelihood, some of them at a time."""
        gate = asyncio.Semaphore(SCORED_AT_ONCE)
        members = [self._member(asked.member) for asked in continuations]

        async def score(member: Member, asked: Continuation) -> Likelihood:
            prompt = await asyncio.to_thread(self._tokens.prompt, asked.messages)
            reply = await asyncio.to_thread(self._tokens.reply, asked.text)
            self._check_fits(len(prompt), len(reply))

            async def ask(replica: Replica, member: Member) -> list[float]:
                await replica.adapters.ensure(member)
                return await replica.server.log_probabilities(self._model(replica, member), [*prompt, *reply])

            async with gate:
                found = await self._tried(member, ask)
            return Likelihood(log_probability=sum(found[-len(reply) :]), tokens=len(reply))

        return tuple(await asyncio.gather(*map(score, members, continuations)))

    async def _pieces(
        self, replica: Replica, member: Member, prompt: Prompt, clock: "_Clock", said: list[str]
    ) -> AsyncIterator[Delta | Spoken]:
        """Yield one attempt's pieces; what was said is put into ``said``."""
        first_ms = None
        await self._within(clock, replica.adapters.ensure(member))
        async with AsyncExitStack() as stack:
            speaking = replica.server.speaking(self._model(replica, member), prompt)
            pieces = await self._within(clock, stack.enter_async_context(speaking))
            while isinstance(piece := await self._within(clock, anext(pieces)), str):
                first_ms = first_ms or clock.passed_ms()
                said.append(piece)
                yield Delta(text=piece)
        yield Spoken(
            text="".join(said),
            finish="length" if piece.finish == "length" else "stop",
            prompt_tokens=piece.prompt_tokens,
            completion_tokens=piece.completion_tokens,
            first_token_ms=first_ms or clock.passed_ms(),
            latency_ms=clock.passed_ms(),
        )

    async def _tried(self, member: Member, call: Callable[[Replica, Member], Awaitable[Result]]) -> Result:
        """Return what a call returns, repeated where that may help."""
        clock = _Clock(member.name, None)
        for attempt in range(ATTEMPTS):
            try:
                async with self._heard(member, clock) as replica:
                    return await self._within(clock, call(replica, member))
            except Again as again:
                await self._pause(again, attempt, clock)
        raise AssertionError("the last attempt returns or raises")

    @asynccontextmanager
    async def _heard(self, member: Member, clock: "_Clock") -> AsyncIterator[Replica]:
        """Choose a server, and take note of how it fares. A server that lost its adapters is asked again."""
        name = member.content_name
        replica = choose(self._replicas, name)
        replica.in_hand += 1
        replica.adapters.tier.take(name)
        try:
            if replica.served is None:
                await self._within(clock, self._greet(replica))
            yield replica
            replica.answered()
        except AdapterMissing as error:
            was_known = name in replica.adapters.tier.names
            replica.adapters.tier.forget(name)
            raise (Again(error) if was_known else error) from error
        except Again as again:
            if not again.after_s:
                replica.failed()
            raise
        finally:
            replica.in_hand -= 1
            replica.adapters.tier.give_back(name)

    async def _greet(self, replica: Replica) -> None:
        async with replica.greeting:
            if replica.served is None:
                replica.served = await self._given_nobody(replica.server, await replica.server.served())
                replica.adapters.tier.reconcile(replica.served.adapters & self._own)

    async def _given_nobody(self, server: Server, served: Served) -> Served:
        """Give a server the adapter that changes nothing, and return what it then serves."""
        if not self._work or self._nobody in served.adapters:
            return served
        name, folder = await asyncio.to_thread(write_null_adapter, self._base, self._work)
        with suppress(AdapterMissing, EngineLost, Again):  # it sees other folders, or takes none: a GPU does without
            if await server.load(name, str(folder)):
                return replace(served, adapters=served.adapters | {name})
        return served

    async def _pause(self, again: Again, attempt: int, clock: "_Clock", *, heard: bool = False) -> None:
        """Wait before the next attempt, or raise where there is none."""
        if heard or attempt == ATTEMPTS - 1:
            raise again.error from again
        pause = min(MOST_PAUSE_S, PAUSE_S * 2**attempt) * (0.5 + self._chance.random())
        await self._within(clock, asyncio.sleep(max(pause, min(again.after_s, MOST_PAUSE_S))))

    async def _within(self, clock: "_Clock", waited_for: Awaitable[Result]) -> Result:
        """Wait, but not past the deadline and not past the engine's end."""
        if self._closed is None or self._closed.done():
            if asyncio.iscoroutine(waited_for):
                waited_for.close()
            raise EngineLost("the vllm engine is not open. Use it inside `async with engine:`.")
        task = asyncio.ensure_future(waited_for)
        try:
            ends: set[asyncio.Future[Any]] = {task, self._closed}
            await asyncio.wait(ends, timeout=clock.left_s(), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if self._closed.done():
                raise EngineLost("the vllm engine was closed.")
            raise clock.over()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    def _model(self, replica: Replica, member: Member) -> str:
        """Return the name under which a server answers as the member."""
        if member.adapter or replica.served is None:
            return member.content_name
        return self._nobody if self._nobody in replica.served.adapters else replica.served.base

    def _check_fits(self, prompt: int, statement: int) -> None:
        limits = [each.served.context_tokens for each in self._replicas if each.served]
        context = min([self._base.context_tokens, *(limit for limit in limits if limit)])
        if prompt + statement > context:
            raise BadMessage(
                f"the prompt has {prompt:,} tokens and the statement may have {statement:,}; the context of "
                f"{self._base.name!r} holds {context:,}. Shorten the message."
            )


class _Clock:
    """How long a member has been waited for, and for how long it may be."""

    def __init__(self, member: str, deadline_s: float | None) -> None:
        self._member = member
        self._deadline_s = deadline_s
        self._started = time.monotonic()

    def passed_ms(self) -> float:
        return 1e3 * (time.monotonic() - self._started)

    def left_s(self) -> float | None:
        if self._deadline_s is None:
            return None
        return max(0.0, self._deadline_s - (time.monotonic() - self._started))

    def over(self) -> SeatDeadline:
        return SeatDeadline(
            f"{self._member!r} did not finish within deadline_s={self._deadline_s!r}. Allow more time, or fewer tokens."
        )
