"""deliberate: from statements to one conclusion."""

from langgraph.runtime import Runtime

from consilium.council.context import TurnContext
from consilium.council.hearing import hear
from consilium.council.state import CONCLUSION, DECISION, STATEMENT, Json, TurnState, asked
from consilium.deliberation.best import best
from consilium.deliberation.chair import chair_messages, composed
from consilium.deliberation.opinion import Conclusion, Opinion
from consilium.deliberation.vote import vote
from consilium.ledger.entries import SeatEntry


async def deliberate(state: TurnState, runtime: Runtime[TurnContext]) -> Json:
    """Apply the turn's method. A chair's seat is recorded like any other, so that it is not paid twice."""
    opinions = _opinions(state)
    method, conclusion = asked(state["turn"]).method, None
    if method == "chair" and len(opinions) > 1:
        conclusion = await _chair(state, opinions, runtime)
    if conclusion is None and opinions:
        # A chair that has nothing to compose, or failed, leaves the word to the best seat; the verdict says so.
        method = "vote" if method == "vote" else "best"
        conclusion = vote(opinions) if method == "vote" else best(opinions)
    return {
        "conclusion": None if conclusion is None else CONCLUSION.dump_python(conclusion, mode="json"),
        "deliberated_by": method,
    }


def _opinions(state: TurnState) -> list[Opinion]:
    decision = DECISION.validate_python(state["decision"])
    seats = {seat.number: seat for seat in decision.seats}
    statements = [STATEMENT.validate_python(statement) for statement in state["statements"]]
    return [
        Opinion(seat=s.seat, member=seats[s.seat].member, weight=seats[s.seat].weight, text=s.text)
        for s in statements
        if s.error is None
    ]


async def _chair(state: TurnState, opinions: list[Opinion], runtime: Runtime[TurnContext]) -> Conclusion | None:
    """Let the bare base compose the answer; None where it failed."""
    context = runtime.context
    member = context.catalogue.get(context.catalogue.fallback)
    seat = SeatEntry(
        turn_id=state["turn"]["id"],
        number=len(state["decision"]["seats"]),
        member=member.name,
        content_name=member.content_name,
        role="chair",
        weight=0.0,
    )
    await context.ledger.record(seat)
    options = asked(state["turn"])
    messages = chair_messages(options.system_prompt(member.persona), state["turn"]["message"], opinions)
    statement = await hear(context, seat, messages, options)
    return None if statement.error else composed(statement.text, seat.number)
