"""record: close the turn."""

from langgraph.runtime import Runtime

from consilium.council.context import TurnContext
from consilium.council.state import Json, TurnState
from consilium.ledger.entries import ClosingEntry


async def record(state: TurnState, runtime: Runtime[TurnContext]) -> Json:
    """Record that the turn is over, and how."""
    (closing,) = await runtime.context.ledger.record(
        ClosingEntry(turn_id=state["turn"]["id"], status="failed" if state["verdict"] is None else "concluded")
    )
    return {"status": closing.status}
