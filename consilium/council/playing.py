"""Play one admitted turn through the graph, and tell what happens as events."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from consilium.council.admission import Admission
from consilium.council.context import TurnContext
from consilium.council.events import Admitted, Concluded, Decided, Event, Stated
from consilium.council.state import VERDICT, TurnState
from consilium.council.turn import Turn
from consilium.errors import EngineLost
from consilium.ledger.entries import TurnEntry, TurnLog

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

Graph: TypeAlias = "CompiledStateGraph[TurnState, TurnContext, TurnState, TurnState]"

RECURSION_LIMIT = 16
"""Supersteps; a turn takes six. LangGraph's own default would let a broken graph run for hours."""

DURABILITY: Literal["exit"] = "exit"
"""When LangGraph writes checkpoints; the ledger does not rely on them (docs/adr/0001-durability.md)."""


async def play(graph: Graph, admission: Admission, context: TurnContext, started: float) -> AsyncIterator[Event]:
    """Yield the events of the turn; the last one is `Concluded`.

    Args:
        graph: of `consilium.council.graph`.
        admission: the turn, already in the ledger.
        context: what the nodes work with.
        started: ``time.perf_counter()`` of the call, for the turn's latency.

    Raises:
        TurnFailed: no seat made a statement.
        LedgerError: the ledger could not be written; the turn stays open and can be resumed.
    """
    turn = admission.turn
    yield Admitted(turn_id=turn.id, seq=0, session_id=turn.session_id)
    heard: list[Event] = []
    running = asyncio.create_task(_run(graph, admission, context))
    try:
        async for event in context.emitter.events():
            heard.append(event)
            yield event
        state = await running
    finally:
        running.cancel()  # whoever stops listening stops the turn
    whole = Turn.from_log(_log(turn, heard, state), latency_ms=(time.perf_counter() - started) * 1_000)
    yield Concluded(turn_id=turn.id, seq=len(heard) + 1, turn=whole)


async def _run(graph: Graph, admission: Admission, context: TurnContext) -> dict[str, Any]:
    from langchain_core.runnables import RunnableConfig

    config = RunnableConfig(configurable={"thread_id": admission.turn.id}, recursion_limit=RECURSION_LIMIT)
    try:
        state: dict[str, Any] = await graph.ainvoke(admission.state, config, context=context, durability=DURABILITY)
        return state
    finally:
        context.emitter.end()


def _log(turn: TurnEntry, heard: list[Event], state: dict[str, Any]) -> TurnLog:
    """Return what the ledger holds now, out of what the nodes said they recorded."""
    if "status" not in state:
        raise EngineLost(f"turn {turn.id} did not reach its end. `council.resume` takes it up again.")
    stated = [event for event in heard if isinstance(event, Stated)]
    verdict = state["verdict"]
    return TurnLog(
        turn=replace(turn, status=state["status"]),
        decision=next((event.decision for event in heard if isinstance(event, Decided)), None),
        seats=tuple(sorted((event.seat for event in stated), key=lambda seat: seat.number)),
        statements=tuple(event.statement for event in stated),
        verdict=None if verdict is None else VERDICT.validate_python(verdict),
        outcomes=(),
    )
