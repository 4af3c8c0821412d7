"""What a row of a job would cost, told before anybody speaks."""

from dataclasses import dataclass

from consilium.council.council import Council
from consilium.council.options import TurnOptions, complete
from consilium.deliberation.chair import chair_messages
from consilium.deliberation.opinion import Opinion
from consilium.engines.protocol import Message
from consilium.errors import BadInput
from consilium.jobs.request import RowRequest
from consilium.routing.protocol import SeatChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a row would cost."""

    custom_id: str
    members: tuple[str, ...]
    """Who would sit; empty where the row can get nothing but an error. A chair is not among them."""
    prompt_tokens: int
    """A chair's prompt counts with the longest statements that it may be told."""
    most_completion_tokens: int
    """As many as the seated personas, and a chair, may say."""


async def forecast_of(council: Council, request: RowRequest) -> Forecast:
    """Return what a row would cost at most; nobody speaks."""
    parts = council.parts
    try:
        options = complete(request.options, parts.settings, parts.catalogue)
        seats = (await council.route(request.message, **request.options)).seats
    except BadInput:  # which will be the row's result
        return Forecast(custom_id=request.custom_id, members=(), prompt_tokens=0, most_completion_tokens=0)
    prompts = told = most = 0
    for seat in seats:
        persona = parts.catalogue.get(seat.member).persona
        heard = Message(role="system", content=options.system_prompt(persona)), *options.history
        prompts += await parts.engine.count_tokens((*heard, Message(role="user", content=request.message)))
        told += options.sampling(persona).max_tokens
        most += options.sampling(persona).most_spoken
    if options.method == "chair" and len(seats) > 1:
        prompts += told + await _chair_prompt(council, request.message, options, seats)
        most += options.sampling(parts.catalogue.get(parts.catalogue.fallback).persona).most_spoken
    return Forecast(
        custom_id=request.custom_id,
        members=tuple(seat.member for seat in seats),
        prompt_tokens=prompts,
        most_completion_tokens=most,
    )


async def _chair_prompt(council: Council, message: str, options: TurnOptions, seats: tuple[SeatChoice, ...]) -> int:
    """Return the tokens of what a chair is asked, without the statements in it."""
    parts = council.parts
    silent = [Opinion(seat=n, member=seat.member, weight=seat.weight, text="") for n, seat in enumerate(seats)]
    prompt = options.system_prompt(parts.catalogue.get(parts.catalogue.fallback).persona)
    return await parts.engine.count_tokens(chair_messages(prompt, message, silent))
