"""Play one admitted turn through the graph, and tell what happens as events."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from consilium.council.admission import Admission
from consilium.council.context import TurnContext
from consilium.council.emitter import Ending
from consilium.council.events import Admitted, Concluded, Decided, Event, Stated
from consilium.council.state import TurnState
from consilium.council.turn import Turn
from consilium.errors import EngineLost, LedgerError
from consilium.ledger.entries import ClosingEntry, TurnEntry, TurnLog

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

Graph: TypeAlias = "CompiledStateGraph[TurnState, TurnContext, TurnState, TurnState]"

_logger = logging.getLogger(__name__)

RECURSION_LIMIT = 16
"""Supersteps; a turn takes six. LangGraph's own default would let a broken graph run for hours."""

DURABILITY: Literal["exit"] = "exit"
"""When LangGraph writes checkpoints; the ledger does not rely on them (docs/adr/0001-durability.md)."""


async def play(
    graph: Graph, admission: Admission, context: TurnContext, started: float, finishing: set[asyncio.Task[None]]
) -> AsyncGenerator[Event]:
    """Yield the events of the turn; the last one is `Concluded`, as soon as the verdict is recorded.

    Args:
        graph: of `consilium.council.graph`.
        admission: the turn, already in the ledger.
        context: what the nodes work with.
        started: ``time.perf_counter()`` of the call, for the turn's latency.
        finishing: holds the tasks of turns that have ended until LangGraph has written their checkpoints.

    Raises:
        TurnFailed: no seat made a statement.
        LedgerError: the ledger could not be written; the turn can be resumed.
    """
    turn = admission.turn
    heard: list[Event] = []
    task = asyncio.create_task(_run(graph, admission, context))
    try:
        yield Admitted(turn_id=turn.id, seq=0, session_id=turn.session_id)
        async for event in context.emitter.events():
            heard.append(event)
            yield event
        if context.emitter.ending is None:
            await task  # raises what befell the turn
            raise EngineLost(f"turn {turn.id} did not reach its end. `council.resume` takes it up again.")
    except BaseException:
        await _leave_off(task, turn.id, context)  # whoever stops listening stops the turn
        raise
    finishing.add(task)
    task.add_done_callback(finishing.discard)
    log = _log(turn, heard, context.emitter.ending)
    whole = Turn.from_log(log, latency_ms=(time.perf_counter() - started) * 1_000)
    yield Concluded(turn_id=turn.id, seq=len(heard) + 1, turn=whole)


async def _run(graph: Graph, admission: Admission, context: TurnContext) -> None:
    from langchain_core.runnables import RunnableConfig

    config, saved = RunnableConfig(recursion_limit=RECURSION_LIMIT), graph.checkpointer is not None
    if saved:  # else LangGraph would hand the thread's id from node to node for nothing
        config["configurable"] = {"thread_id": admission.turn.id}
    try:
        await graph.ainvoke(admission.state, config, context=context, durability=DURABILITY if saved else None)
    except Exception as error:
        if context.emitter.ending is None:
            raise
        # The verdict is recorded and told already. Nothing reads the checkpoint of a turn that has ended.
        _logger.warning("the checkpoint of turn %s was not written: %s", admission.turn.id, error)
    finally:
        context.emitter.close()


async def _leave_off(task: asyncio.Task[None], turn_id: str, context: TurnContext) -> None:
    """Stop playing, and say in the ledger that anybody may take the turn up; an end that stands there stays."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    try:
        await context.ledger.record(ClosingEntry(turn_id=turn_id, status="interrupted"))
    except LedgerError as error:
        _logger.warning("turn %s stays open: %s", turn_id, error)  # it is free once this process has ended


def _log(turn: TurnEntry, heard: list[Event], ending: Ending) -> TurnLog:
    """Return what the ledger holds now, out of what the nodes said they recorded."""
    stated = [event for event in heard if isinstance(event, Stated)]
    return TurnLog(
        turn=replace(turn, status=ending.status),
        decision=next((event.decision for event in heard if isinstance(event, Decided)), None),
        seats=tuple(sorted((event.seat for event in stated), key=lambda seat: seat.number)),
        statements=tuple(event.statement for event in stated),
        verdict=ending.verdict,
        outcomes=(),
    )
