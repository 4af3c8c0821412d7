"""route: decide who sits."""

from langgraph.runtime import Runtime
from langgraph.types import Send

from consilium.council.context import TurnContext
from consilium.council.state import DECISION, TURN, Json, SeatTask, TurnState, asked
from consilium.ledger.entries import BesideEntry, DecisionEntry, SeatEntry
from consilium.routing.protocol import Decision


async def route(state: TurnState, runtime: Runtime[TurnContext]) -> Json:
    """Record the router's decision with its seats."""
    context = runtime.context
    entry = context.known.decision if context.known else None
    if entry is None:
        turn = TURN.validate_python(state["turn"])
        earlier = tuple(m["content"] for m in state["history"] if m["role"] == "user")
        request = asked(state["turn"]).request(turn.message, earlier, tuple(state["sat"]))
        decided = _entry(turn.id, await context.router.route(request), context)
        (entry,) = await context.ledger.record(decided)
    context.emitter.decided(entry)
    return {"decision": DECISION.dump_python(entry, mode="json")}


def seated(state: TurnState) -> list[Send]:
    """Send every seat to speak: a pure look-up, since an edge that raises would end a resumed turn in silence."""
    return [
        Send("speak", SeatTask(turn=state["turn"], history=state["history"], seat=seat))
        for seat in state["decision"]["seats"]
    ]


def _entry(turn_id: str, decision: Decision, context: TurnContext) -> DecisionEntry:
    seats = tuple(
        SeatEntry(
            turn_id=turn_id,
            number=number,
            member=choice.member,
            content_name=context.catalogue.get(choice.member).content_name,
            role="speaker",
            weight=choice.weight,
        )
        for number, choice in enumerate(decision.seats)
    )
    return DecisionEntry(
        turn_id=turn_id,
        router=decision.router,
        router_digest=decision.digest,
        scores=decision.scores,
        propensities=decision.propensities,
        abstained=decision.abstained,
        exploration=sum(min(share, 1 - share) for share in decision.propensities.values()) / 2,
        seats=seats,
        beside=tuple(_beside(other) for other in decision.beside),
    )


def _beside(decision: Decision) -> BesideEntry:
    return BesideEntry(
        router=decision.router,
        router_digest=decision.digest,
        scores=decision.scores,
        propensities=decision.propensities,
        members=tuple(choice.member for choice in decision.seats),
        abstained=decision.abstained,
    )
