"""speak: hear one seat. All seats of a turn run at the same time, so that an engine can answer them in one batch."""

from langgraph.runtime import Runtime

from consilium.council.context import TurnContext
from consilium.council.hearing import hear
from consilium.council.state import SEAT, STATEMENT, Json, SeatTask, asked
from consilium.engines.protocol import Message


async def speak(state: SeatTask, runtime: Runtime[TurnContext]) -> Json:
    """Record the seat's statement, or the error that kept it from speaking."""
    seat = SEAT.validate_python(state["seat"])
    options, persona = asked(state["turn"]), runtime.context.catalogue.get(seat.member).persona
    messages = (
        Message(role="system", content=options.system_prompt(persona)),
        *(Message(**entry) for entry in state["history"]),
        Message(role="user", content=state["turn"]["message"]),
    )
    entry = await hear(runtime.context, seat, messages, options)
    return {"statements": [STATEMENT.dump_python(entry, mode="json")]}
