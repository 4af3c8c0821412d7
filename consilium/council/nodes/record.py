"""record: close the turn."""

from typing import Literal

from langgraph.runtime import Runtime

from consilium.council.context import TurnContext
from consilium.council.state import Json, TurnState
from consilium.ledger.entries import ClosingEntry


async def record(state: TurnState, runtime: Runtime[TurnContext]) -> Json:
    """Record that the turn is over, and how."""
    status: Literal["concluded", "failed"] = "failed" if state["verdict"] is None else "concluded"
    await runtime.context.ledger.record(ClosingEntry(turn_id=state["turn"]["id"], status=status))
    runtime.stream_writer({"kind": "closed", "status": status, "verdict": state["verdict"]})
    return {}
