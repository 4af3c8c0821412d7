"""A conversation as others hand it over, as a message to the council."""

from collections.abc import Sequence
from typing import NamedTuple

from consilium.council.options import AskOptions
from consilium.engines.protocol import Message
from consilium.errors import BadInput


class Asked(NamedTuple):
    """What one turn is asked."""

    message: str
    options: AskOptions


def asked(conversation: Sequence[Message]) -> Asked:
    """Return the user's last message, and the options that carry what stands before it.

    Raises:
        BadInput: it does not end with a message of the user that says something.

    >>> asked([Message(role="system", content="Be brief."), Message(role="user", content="How deep is it?")])
    Asked(message='How deep is it?', options={'instructions': 'Be brief.', 'history': []})
    """
    spoken = [message for message in conversation if message.role != "system"]
    last = spoken[-1] if spoken else None
    if last is None or last.role != "user" or not last.content.strip():
        raise BadInput(
            f"the conversation ends with {last!r:.80}. A council answers a message of the user that says something; it "
            "does not go on with an answer that was begun for it."
        )
    instructions = "\n\n".join(message.content for message in conversation if message.role == "system")
    return Asked(last.content, AskOptions(instructions=instructions or None, history=spoken[:-1]))
