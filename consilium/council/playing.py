"""Play one admitted turn through the graph, and tell what happens as events."""

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from consilium.council.admission import Admission
from consilium.council.context import TurnContext
from consilium.council.events import Admitted, Concluded, Decided, Event, Stated, Token
from consilium.council.state import DECISION, SEAT, STATEMENT, Json
from consilium.council.turn import Turn
from consilium.errors import EngineLost

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

Graph: TypeAlias = "CompiledStateGraph[Any, Any, Any, Any]"

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
    """
    from langchain_core.runnables import RunnableConfig

    turn = admission.turn
    yield Admitted(turn_id=turn.id, seq=0, session_id=turn.session_id)
    seq, closed = 1, False
    happenings = graph.astream(
        admission.state,
        config=RunnableConfig(configurable={"thread_id": turn.id}, recursion_limit=RECURSION_LIMIT),
        context=context,
        stream_mode="custom",
        durability=DURABILITY,
    )
    async for happening in happenings:
        if happening["kind"] == "closed":
            closed = True
        else:
            yield _event(turn.id, seq, happening)
            seq += 1
    if not closed:
        raise EngineLost(f"turn {turn.id} did not reach its end. `council.resume` takes it up again.")
    log = await context.ledger.load(turn.id)
    whole = Turn.from_log(log, latency_ms=(time.perf_counter() - started) * 1_000)
    yield Concluded(turn_id=turn.id, seq=seq, turn=whole)


def _event(turn_id: str, seq: int, happening: Json) -> Event:
    match happening:
        case {"kind": "token", "seat": seat, "member": member, "text": text}:
            return Token(turn_id=turn_id, seq=seq, seat=seat, member=member, text=text)
        case {"kind": "stated", "seat": seat, "statement": statement}:
            return Stated(
                turn_id=turn_id,
                seq=seq,
                seat=SEAT.validate_python(seat),
                statement=STATEMENT.validate_python(statement),
            )
        case {"kind": "decided", "decision": decision}:
            return Decided(turn_id=turn_id, seq=seq, decision=DECISION.validate_python(decision))
    raise ValueError(f"no such happening: {happening!r}")
