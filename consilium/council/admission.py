"""admit: what is checked before a turn is accepted, and the state it starts with."""

import uuid
from dataclasses import dataclass
from typing import Self

from pydantic import ValidationError

from consilium.council.options import TurnOptions
from consilium.council.parts import Parts
from consilium.council.state import TURN, Json, TurnState
from consilium.engines.protocol import Message
from consilium.errors import BadInput, BadMessage
from consilium.ledger.entries import TurnEntry, TurnLog

HISTORY_TURNS = 20
"""At most this many earlier turns are heard again; fewer where the context is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A turn that is in the ledger, and what its members will hear."""

    turn: TurnEntry
    state: TurnState

    @classmethod
    async def again(cls, log: TurnLog, parts: Parts) -> Self:
        """Return the admission of a turn that was accepted before."""
        try:
            options = TurnOptions.model_validate(log.turn.options)
        except ValidationError as error:
            raise BadInput(
                f"turn {log.turn.id!r} was asked with options that this version does not know. Upgrade consilium."
            ) from error
        if options.heard is None:
            concluded = await _concluded(log.turn.session_id, parts)
            earlier = [other for other in concluded if other.turn.number < log.turn.number]
        else:
            earlier = [await parts.ledger.load(turn_id) for turn_id in options.heard]
        history = await _fitting(log.turn.message, _history(earlier), options, parts)
        return cls(turn=log.turn, state=_state(log.turn, history, earlier))


async def admissible(
    message: str, options: TurnOptions, parts: Parts, *, session_id: str, turn_id: str, goes_on: bool
) -> Admission:
    """Check the message, record the turn, and return its admission.

    Args:
        message: what the user says.
        options: what was asked for, complete.
        parts: of the council.
        session_id: the conversation it belongs to.
        turn_id: names it in the ledger.
        goes_on: whether the ledger knows that conversation already; then its members hear what was said before.

    Raises:
        BadMessage: it is empty, or does not fit the context; nothing was recorded.
        UnknownTurn: the session is to be gone on with, and does not exist.
    """
    if not message.strip():
        raise BadMessage(f"message={message!r} is empty. Say something.")
    said = (message, options.instructions or "", *(earlier.content for earlier in options.history))
    if torn := [text for text in said if is_torn(text)]:
        raise BadMessage(f"{torn[0]!r:.60} holds half a character, a lone surrogate. Correct it.")
    earlier = await _concluded(session_id, parts) if goes_on else []
    history = await _fitting(message, _history(earlier), options, parts)
    turn = await parts.ledger.admit(
        session_id=session_id,
        turn_id=turn_id,
        message=message,
        options=options.model_copy(update={"heard": tuple(log.turn.id for log in earlier)}).model_dump(mode="json"),
    )
    return Admission(turn=turn, state=_state(turn, history, earlier))


def is_torn(text: str) -> bool:
    """Say whether a text holds half a character: a lone surrogate, which no tokenizer and no database takes."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def new_id() -> str:
    """Return a fresh id for a session, turn or outcome."""
    return uuid.uuid4().hex


async def _concluded(session_id: str, parts: Parts) -> list[TurnLog]:
    logs = await parts.ledger.turns(session_id=session_id, limit=HISTORY_TURNS)
    return [log for log in logs if log.verdict is not None]


def _history(logs: list[TurnLog]) -> list[Message]:
    history: list[Message] = []
    for log in logs:
        if log.verdict is not None:
            history.append(Message(role="user", content=log.turn.message))
            history.append(Message(role="assistant", content=log.verdict.text))
    return history


async def _fitting(message: str, history: list[Message], options: TurnOptions, parts: Parts) -> list[Message]:
    """Return what the members hear before the message. Raises `BadMessage`.

    That is all the caller hands over, and as much of the session's newest history as the context still holds.
    """
    personas = [member.persona for member in parts.catalogue.members.values()]
    longest = options.system_prompt(max(personas, key=lambda persona: len(persona.system_prompt)))
    reply = options.max_tokens or max(persona.sampling.max_tokens for persona in personas)
    context = parts.engine.describe().context_tokens
    while True:
        heard = [*options.history, *history]
        prompt = (Message(role="system", content=longest), *heard, Message(role="user", content=message))
        tokens = await parts.engine.count_tokens(prompt)
        if tokens + reply <= context:
            return heard
        if not history:
            raise BadMessage(
                f"the message makes a prompt of {tokens:,} tokens with what is heard before it, and a statement may "
                f"have {reply:,}; the context of {parts.engine.describe().base!r} holds {context:,}. Shorten them."
            )
        history = history[2:]


def _state(turn: TurnEntry, history: list[Message], earlier: list[TurnLog]) -> TurnState:
    messages: list[Json] = [{"role": message.role, "content": message.content} for message in history]
    sat = [seat.member for seat in earlier[-1].seats] if earlier else []
    return TurnState(turn=TURN.dump_python(turn, mode="json"), history=messages, sat=sat)
