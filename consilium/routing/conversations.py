"""What people say in mid-conversation: follow-ups that only what came before explains, and changes of subject."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from consilium.routing.classifier import Example

STAYS = (
    "again",
    "Almost right.",
    "And another one.",
    "Anything else?",
    "Are you certain about that?",
    "Better, but not there yet.",
    "Can you do that once more?",
    "Can you improve on that?",
    "Could that be longer?",
    "Could you redo that?",
    "Cut it down a bit.",
    "Do it differently.",
    "Do you stand by that?",
    "Explain that.",
    "Give a reason for that.",
    "Give me a different one.",
    "Go on.",
    "Hmm, are you sure?",
    "How did you get there?",
    "How do you know that?",
    "I do not believe you.",
    "I don't think so.",
    "I expected something else.",
    "In fewer words.",
    "Is that really so?",
    "Isn't that false?",
    "Keep going.",
    "Make it shorter.",
    "Maybe there is a better one?",
    "More of that.",
    "next",
    "No, not like that.",
    "No, that is wrong.",
    "One more, please.",
    "Please be more brief.",
    "Please try once more.",
    "Really?",
    "Repeat that.",
    "Say more.",
    "Say that in another way.",
    "Says who?",
    "shorter",
    "Something else.",
    "Start over, please.",
    "Take another look at it.",
    "That can't be right.",
    "That is not quite right.",
    "That surprises me.",
    "The last one was better.",
    "The same for the next one.",
    "Too long.",
    "Try again, please.",
    "What do you mean by that?",
    "What else could it be?",
    "Why do you say that?",
    "With more detail, please.",
    "Yes, like that, and another.",
    "Yes, more.",
    "You got that wrong.",
    "You left something out.",
)
"""Said to whoever has just answered."""
STAYS_HELD_OUT = (
    "Another attempt, please.",
    "Can it be briefer?",
    "Check that once more.",
    "Condense it.",
    "Continue.",
    "Expand on that.",
    "Good. And one more?",
    "Have another go.",
    "How come?",
    "I am not convinced.",
    "I'd have said otherwise.",
    "longer, please",
    "Not bad, but can you do better?",
    "Once again.",
    "Tell me more.",
    "That was wrong, wasn't it?",
    "What makes you think so?",
    "Where did you get that from?",
    "Would you change anything about it?",
    "Wrong, I think.",
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
