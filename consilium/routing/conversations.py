"""What people say in mid-conversation: follow-ups that only what came before explains, and changes of subject."""

from collections.abc import Iterator, Mapping, Sequence
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
CHANGES = 0.3
"""Share of the examples that stand in a conversation with another member."""


def in_conversation(
    examples: Sequence[Example],
    calls: Mapping[str, Sequence[str]],
    *,
    stays: Sequence[str] = STAYS,
    per_follow_up: int = 20,
    seed: int = 0,
) -> list[Example]:
    """Return the examples, a share of them after something else, and follow-ups of both kinds.

    Args:
        examples: requests that stand alone.
        calls: what is said in mid-conversation to call each member.
        stays: what is said to whoever has just answered.
        per_follow_up: in how many conversations each of both is said.
        seed: of what comes before what.
    """
    chance = Random(seed)
    followed = [_after(each, chance.choice(examples)) if chance.random() < CHANGES else each for each in examples]
    return [*followed, *_follow_ups(examples, calls, stays, per_follow_up, chance)]


def _follow_ups(
    examples: Sequence[Example],
    calls: Mapping[str, Sequence[str]],
    stays: Sequence[str],
    times: int,
    chance: Random,
) -> Iterator[Example]:
    for message in stays:
        for before in chance.choices(examples, k=times):
            yield _after(Example(message=message, member=before.member), before)
    for member, messages in calls.items():
        for message in messages:
            for before in chance.choices(examples, k=times):
                yield _after(Example(message=message, member=member), before)


def _after(example: Example, before: Example) -> Example:
    return replace(example, before=before.message, sat=before.member)
