"""Hear one seat: its statement, or the typed error that kept it from speaking."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, fields

from consilium.council.context import TurnContext
from consilium.council.options import TurnOptions
from consilium.engines.protocol import Delta, Message, Prompt, Spoken
from consilium.errors import ConsiliumError
from consilium.ledger.entries import SeatEntry, StatementEntry

ATTEMPT = 1
"""Part of a statement's key. A seat is heard once; retries belong to the engine's client."""


async def hear(
    context: TurnContext,
    seat: SeatEntry,
    messages: Sequence[Message],
    options: TurnOptions,
) -> StatementEntry:
    """Return what stands in the ledger for this seat, after asking its member if nothing does yet.

    Pieces of text and the statement itself are told as events. An error of the member is its statement: the other
    seats go on.
    """
    entry = context.known_statement(seat)
    if entry is None:
        asked = await _ask(context, seat, messages, options)
        (entry,) = await context.ledger.record(asked)
    context.emitter.stated(seat, entry)
    return entry


async def _ask(
    context: TurnContext,
    seat: SeatEntry,
    messages: Sequence[Message],
    options: TurnOptions,
) -> StatementEntry:
    prompt = Prompt(
        member=seat.member,
        messages=tuple(messages),
        sampling=options.sampling(context.catalogue.get(seat.member).persona),
        seed=context.seed if options.seed is None else options.seed,
        deadline_s=context.deadline_s,
    )
    spoken = None
    try:
        async for piece in context.engine.generate(prompt):
            if isinstance(piece, Delta):
                context.emitter.token(seat, piece.text)
            else:
                spoken = _spoken(context, seat, prompt, piece)
    except ConsiliumError as error:
        return _failed(context, seat, prompt, error)
    if spoken:
        return spoken
    raise RuntimeError(f"{context.engine!r} ended without a statement")  # a breach of the Engine protocol


def digest_of(prompt: Prompt) -> str:
    """Return sha256 in hex of all that the member was asked; the deadline has no part in what it says."""
    asked = {field.name: getattr(prompt, field.name) for field in fields(prompt)}
    asked["messages"] = [asdict(message) for message in prompt.messages]
    asked |= {"deadline_s": None, "sampling": prompt.sampling.model_dump(mode="json")}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _spoken(context: TurnContext, seat: SeatEntry, prompt: Prompt, spoken: Spoken) -> StatementEntry:
    return StatementEntry(
        turn_id=seat.turn_id,
        seat=seat.number,
        attempt=ATTEMPT,
        text=spoken.text,
        error=None,
        error_message=None,
        finish=spoken.finish,
        prompt_tokens=spoken.prompt_tokens,
        completion_tokens=spoken.completion_tokens,
        first_token_ms=spoken.first_token_ms,
        latency_ms=spoken.latency_ms,
        engine=context.engine.describe().name,
        prompt_digest=digest_of(prompt),
    )


def _failed(context: TurnContext, seat: SeatEntry, prompt: Prompt, error: ConsiliumError) -> StatementEntry:
    return StatementEntry(
        turn_id=seat.turn_id,
        seat=seat.number,
        attempt=ATTEMPT,
        text="",
        error=type(error).__name__,
        error_message=str(error),
        finish="error",
        prompt_tokens=0,
        completion_tokens=0,
        first_token_ms=0.0,
        latency_ms=0.0,
        engine=context.engine.describe().name,
        prompt_digest=digest_of(prompt),
    )
