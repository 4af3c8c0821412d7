"""conclude: the conclusion becomes the turn's verdict."""

from consilium.council.state import CONCLUSION, VERDICT, Json, TurnState
from consilium.ledger.entries import VerdictEntry


async def conclude(state: TurnState) -> Json:
    """Word the verdict; a turn without a statement gets none. It is recorded together with the turn's end."""
    if state["conclusion"] is None:
        return {"verdict": None}
    conclusion = CONCLUSION.validate_python(state["conclusion"])
    verdict = VerdictEntry(
        turn_id=state["turn"]["id"],
        text=conclusion.text,
        method=state["deliberated_by"],
        source_seat=conclusion.source_seat,
        agreement=conclusion.agreement,
        dissent=conclusion.dissent,
    )
    return {"verdict": VERDICT.dump_python(verdict, mode="json")}
