"""`Council`: catalogue, router, engine and ledger, and the turns they make together."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from typing_extensions import Unpack

from consilium.council.admission import Admission, admissible, new_id
from consilium.council.checkpoints import open_saver
from consilium.council.context import TurnContext
from consilium.council.emitter import Emitter
from consilium.council.events import Concluded, Decided, Event
from consilium.council.options import AskOptions, complete
from consilium.council.outcomes import OutcomeOptions, outcome_entry
from consilium.council.parts import Parts, assemble
from consilium.council.playing import Graph, play
from consilium.council.portal import Portal
from consilium.council.prefetch import RECENT, Prefetch
from consilium.council.recovery import Recovered, recover, recover_quietly
from consilium.council.retention import retain_quietly
from consilium.council.session import Session
from consilium.council.tally_book import TallyBook
from consilium.council.turn import Turn
from consilium.errors import BadInput, BadSettings, EngineLost, TurnBusy
from consilium.ledger.entries import OutcomeEntry, TurnLog
from consilium.members.base import Progress
from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Decision

if TYPE_CHECKING:
    from consilium.engines.protocol import Engine
    from consilium.ledger.protocol import Ledger
    from consilium.routing.hierarchical import Explanation
    from consilium.routing.protocol import Router

Result = TypeVar("Result")


class Council:
    """What a user holds. Made by `Council.open`; asked with `ask`, `stream`, or `ask_sync`.

    A council starts at its first use, on the event loop of that use, and stays there; `close` (or leaving
    ``async with``) ends it. The methods ending in ``_sync`` run on a loop of their own, for callers that have none.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._prefetch = Prefetch(parts.engine, parts.catalogue, parts.settings.adapters)
        self._graph: Graph | None = None
        self._stack = AsyncExitStack()
        self._finishing: set[asyncio.Task[None]] = set()
        self._recovering: asyncio.Task[None] | None = None
        self._in_hand: set[str] = set()
        self._starting = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._portal: Portal | None = None
        self._opening_portal = threading.Lock()

    @classmethod
    def open(
        cls,
        *,
        engine: "Engine | str | None" = None,
        router: "Router | None" = None,
        ledger: "Ledger | None" = None,
        catalogue: Catalogue | None = None,
        progress: Progress | None = None,
        **settings: object,
    ) -> Self:
        """Put a council together; nothing runs yet, but the base model is provisioned if it is not there.

        Args:
            engine: ``"embedded"``, ``"vllm"``, or an engine of your own.
            router: a router of your own; the default is the one fitted for the catalogue, where it lies beside it;
                else the nearest centroid of the members' example requests.
            ledger: a ledger of your own; the default is the one at the ``database`` setting.
            catalogue: members of your own choice; the default is what lies at the ``personas`` setting.
            progress: told what is being done while the base model is provisioned.
            settings: any field of `consilium.settings.Settings`.

        Raises:
            BadSettings, BadPersona, AdapterRefused: something in the configuration or the catalogue is wrong.
            BaseUnavailable, BaseCorrupt, CacheUnwritable: the base model cannot be had.
        """
        return cls(
            assemble(
                engine=engine, router=router, ledger=ledger, catalogue=catalogue, progress=progress, settings=settings
            )
        )

    @property
    def parts(self) -> Parts:
        """Settings, catalogue, router, engine and ledger."""
        return self._parts

    async def __aenter__(self) -> Self:
        """Start the council on this event loop."""
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the council; after an error, turns that are being recovered are left off again."""
        if kind is not None and self._recovering is not None:
            self._recovering.cancel()
        await self.close()

    async def ask(
        self,
        message: str,
        *,
        session: Session | None = None,
        turn_id: str | None = None,
        **options: Unpack[AskOptions],
    ) -> Turn:
        """Put a message to the council and return the turn.

        Args:
            message: what the user says.
            session: the conversation it belongs to; without one it is a conversation of its own.
            turn_id: names the turn in the ledger, where the caller draws its ids; one that is there is to be resumed.
            options: see `AskOptions`.

        Raises:
            BadMessage, UnknownMember, BadSettings: before anything was recorded.
            TurnFailed: no seat made a statement; the turn is recorded as failed.
            LedgerError: the ledger could not be written.
        """
        return await _last(self.stream(message, session=session, turn_id=turn_id, **options))

    async def stream(
        self,
        message: str,
        *,
        session: Session | None = None,
        turn_id: str | None = None,
        **options: Unpack[AskOptions],
    ) -> AsyncGenerator[Event]:
        """Yield what happens in a turn while it happens; the last event holds the turn. Arguments as for `ask`."""
        started = time.perf_counter()
        chosen = complete(options, self._parts.settings, self._parts.catalogue)
        graph = await self._start()
        session = session or self.session()
        admission = await admissible(
            message,
            chosen,
            self._parts,
            session_id=session.id,
            turn_id=turn_id or new_id(),
            goes_on=session.is_known,
        )
        session.is_known = True
        async for event in self._play(graph, admission, self._context(admission.turn.id), started):
            if isinstance(event, Decided):
                self._prefetch.note(event.decision.scores)
            if isinstance(event, Concluded):
                self._prefetch.start()
            yield event

    async def route(self, message: str, **options: Unpack[AskOptions]) -> Decision:
        """Return who would sit, and how surely; nobody speaks and nothing is recorded."""
        chosen = complete(options, self._parts.settings, self._parts.catalogue)
        return await self._parts.router.route(chosen.request(message))

    async def explain(self, message: str, **options: Unpack[AskOptions]) -> "Explanation":
        """Return how the hierarchical router comes to its decision; nobody speaks and nothing is recorded.

        Raises:
            BadSettings: the council has another router, which tells its scores and no more; see `route`.
        """
        from consilium.routing.hierarchical import HierarchicalRouter

        chosen = complete(options, self._parts.settings, self._parts.catalogue)
        if not isinstance(router := self._parts.router.otherwise, HierarchicalRouter):
            raise BadSettings(
                f"a {type(router).__name__} explains nothing beyond its scores. Fit a hierarchical router for these "
                "members (consilium train router), or leave out --explain."
            )
        return await router.explain(chosen.request(message))

    async def resume(self, turn_id: str) -> Turn:
        """Play a turn that did not reach its end; what the ledger holds of it is not decided or paid again.

        Raises:
            UnknownTurn: no turn has that id.
            TurnBusy: it is being played, here or by another process that lives.
            TurnFailed: the turn has ended before, without a verdict.
        """
        await self._start()
        if turn_id in self._in_hand and self._recovering is not None:
            await asyncio.wait([self._recovering])  # it may be taken up just now, because the council has started
        return await self._resume(turn_id)

    async def recover(self) -> AsyncGenerator[Recovered]:
        """Resume every turn that was cut off, and yield what became of each; a starting council does so by itself.

        Turns that somebody who lives is playing are left to them.
        """
        await self._start()
        async for found in recover(self._parts.ledger, self._resume, tries=None):
            yield found

    async def outcome(self, turn: Turn | str, **scored: Unpack[OutcomeOptions]) -> OutcomeEntry:
        """Record how good a turn, or one of its seats, was.

        Args:
            turn: the turn or its id.
            scored: see `OutcomeOptions`.

        Returns:
            The outcome that stands under the key.

        Raises:
            UnknownTurn: the ledger holds no such turn or seat.
            BadInput: the score is not in [0, 1], or the weight not in (0, 1e9].
            OutcomeDiffers: another outcome stands under the key.
        """
        asked = outcome_entry(turn if isinstance(turn, str) else turn.id, **scored)
        await self._start()
        (entry,) = await self._parts.ledger.record(asked)
        return entry

    def session(self, session_id: str | None = None) -> Session:
        """Begin a conversation, or go on with the one of that id."""
        return Session(self, session_id)

    async def close(self) -> None:
        """End the engine and close the ledger, once recovered turns have ended and checkpoints are written."""
        if self._recovering is not None:
            await asyncio.gather(self._recovering, return_exceptions=True)
        self._graph = None
        await self._prefetch.stop()
        await asyncio.gather(*self._finishing, return_exceptions=True)
        await self._stack.aclose()

    def ask_sync(self, message: str, *, session: Session | None = None, **options: Unpack[AskOptions]) -> Turn:
        """`ask` for callers without an event loop."""
        return self._sync(self.ask(message, session=session, **options))

    def route_sync(self, message: str, **options: Unpack[AskOptions]) -> Decision:
        """`route` for callers without an event loop."""
        return self._sync(self.route(message, **options))

    def outcome_sync(self, turn: Turn | str, **scored: Unpack[OutcomeOptions]) -> OutcomeEntry:
        """`outcome` for callers without an event loop."""
        return self._sync(self.outcome(turn, **scored))

    def close_sync(self) -> None:
        """`close` for callers without an event loop."""
        self._sync(self.close())
        if self._portal is not None:
            self._portal.close()
            self._portal = None

    def _sync(self, work: Coroutine[Any, Any, Result]) -> Result:
        with self._opening_portal:  # two threads that come first would each begin a loop
            portal = self._portal = self._portal or Portal()
        return portal.run(work)

    async def _start(self) -> Graph:
        async with self._starting:
            if self._graph is None:
                self._loop = asyncio.get_running_loop()
                async with AsyncExitStack() as stack:
                    graph = await self._enter(stack)
                    self._stack = stack.pop_all()
                self._graph = graph
                self._recovering = asyncio.create_task(self._look_back(graph))
            if self._loop is not asyncio.get_running_loop():
                raise BadInput("this council runs on another event loop. Use it there, or open another one.")
            return self._graph

    async def _look_back(self, graph: Graph) -> None:
        """Purge what need not be kept any longer, and take up what was cut off."""
        from langgraph.checkpoint.base import BaseCheckpointSaver

        from consilium.ledger.sql import SqlLedger

        parts, saver, days = self._parts, graph.checkpointer, self._parts.settings.retain_days
        # A council without checkpoints, as a job's, would leave those of others behind.
        if days and isinstance(saver, BaseCheckpointSaver) and isinstance(parts.ledger, SqlLedger):
            await retain_quietly(parts.ledger, saver, days)
        if parts.settings.recover:
            await recover_quietly(parts.ledger, self._resume)

    async def _enter(self, stack: AsyncExitStack) -> Graph:
        parts = self._parts
        await stack.enter_async_context(parts.engine)  # begins to load the model while the rest is set up
        await stack.enter_async_context(parts.ledger)
        from consilium.council.graph import build_graph

        book = TallyBook(parts.engine)

        async def note() -> None:
            await parts.ledger.record(*book.entries())

        stack.push_async_callback(note)
        saver = await stack.enter_async_context(open_saver(parts.checkpoints))
        await parts.ledger.record(*parts.member_entries())
        if self._prefetch.is_needed:
            for log in await parts.ledger.turns(limit=RECENT):
                self._prefetch.note(log.decision.scores if log.decision else {})
        await parts.engine.ensure_ready(self._prefetch.wanted())
        return build_graph(saver)

    async def _resume(self, turn_id: str) -> Turn:
        from langgraph.checkpoint.base import BaseCheckpointSaver

        graph, started = await self._start(), time.perf_counter()
        if turn_id in self._in_hand:
            raise TurnBusy(f"turn {turn_id!r} is being played by this council. Wait until it is done.")
        self._in_hand.add(turn_id)
        try:
            log = await self._parts.ledger.claim(turn_id)
            if log.turn.status != "open":
                return Turn.from_log(log)
            if isinstance(saver := graph.checkpointer, BaseCheckpointSaver):
                await saver.adelete_thread(turn_id)  # the ledger is the truth: what lies there is never read
            admission = await Admission.again(log, self._parts)
            return await _last(self._play(graph, admission, self._context(turn_id, log), started))
        finally:
            self._in_hand.discard(turn_id)

    async def _play(
        self, graph: Graph, admission: Admission, context: TurnContext, started: float
    ) -> AsyncGenerator[Event]:
        self._in_hand.add(admission.turn.id)
        try:
            async with aclosing(play(graph, admission, context, started, self._finishing)) as events:
                async for event in events:
                    yield event
        finally:
            self._in_hand.discard(admission.turn.id)

    def _context(self, turn_id: str, known: TurnLog | None = None) -> TurnContext:
        parts = self._parts
        return TurnContext(
            catalogue=parts.catalogue,
            router=parts.router,
            engine=parts.engine,
            ledger=parts.ledger,
            deadline_s=parts.settings.deadline_s,
            seed=parts.settings.seed,
            emitter=Emitter(turn_id, first_seq=1),
            known=known,
        )


async def _last(listening: AsyncGenerator[Event]) -> Turn:
    """Listen to the end and return the turn that the last event holds."""
    turn: Turn | None = None
    async with aclosing(listening) as events:
        async for event in events:
            if isinstance(event, Concluded):
                turn = event.turn
    if turn is None:
        raise EngineLost("the turn ended without a verdict and without an error.")
    return turn
