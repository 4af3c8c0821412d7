"""record: close the turn."""

from langgraph.runtime import Runtime

from consilium.council.context import TurnContext
from consilium.council.emitter import Ending
from consilium.council.state import VERDICT, Json, TurnState
from consilium.ledger.entries import ClosingEntry, VerdictEntry


async def record(state: TurnState, runtime: Runtime[TurnContext]) -> Json:
    """Record the verdict and the end of the turn in one transaction: there is never one without the other."""
    turn_id, ledger, emitter = state["turn"]["id"], runtime.context.ledger, runtime.context.emitter
    if state["verdict"] is None:
        (closing,) = await ledger.record(ClosingEntry(turn_id=turn_id, status="failed"))
        emitter.ended(Ending(status=closing.status, verdict=None))
        return {}
    verdict = VERDICT.validate_python(state["verdict"])
    recorded = await ledger.record(verdict, ClosingEntry(turn_id=turn_id, status="concluded"))
    stands = next(entry for entry in recorded if isinstance(entry, VerdictEntry))
    emitter.ended(Ending(status="concluded", verdict=stands))
    return {"verdict": VERDICT.dump_python(stands, mode="json")}
