"""What people say in mid-conversation: follow-ups that only what came before explains, and changes of subject."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from consilium.routing.classifier import Example

STAYS = (
    "again",
    "And another one.",
    "Can you do that once more?",
    "Could you redo that?",
    "Do it differently.",
    "Hmm, are you sure?",
    "Make it shorter.",
    "No, not like that.",
    "One more, please.",
    "Please try once more.",
    "shorter",
    "That is not quite right.",
    "The same for the next one.",
    "Try again, please.",
    "What else could it be?",
    "Why do you say that?",
)
"""Said to whoever has just answered."""
STAYS_HELD_OUT = (
    "Another attempt, please.",
    "Can it be briefer?",
    "I am not convinced.",
    "longer, please",
    "Once again.",
    "That was wrong, wasn't it?",
)
"""The same, which no router is fitted on."""


def said_after(messages: Sequence[Example], others: Sequence[Example], times: int, *, seed: int = 0) -> list[Example]:
    """Return each message in so many conversations: after the member of an example drawn from ``others``.

    A message that names no member is for the one that has just answered.
    """
    chance = Random(seed)
    return [
        replace(each, member=each.member or before.member, sat=before.member)
        for each in messages
        for before in chance.choices(others, k=times)
    ]
