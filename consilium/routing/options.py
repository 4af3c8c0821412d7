"""Requests with the answers to choose from: how people put a question to a model that labels."""

from collections.abc import Sequence
from random import Random

FORMS = (
    "{text}\n\nOptions:\n{lines}",
    "{text}\nAnswer with one of: {listed}.",
    "{text}\n{either}?",
    "Choose between {listed}.\n\n{text}",
    "{text} ({slashed})",
    "{listed}: which of these is it?\n{text}\nAnswer:",
)


def with_options(text: str, labels: Sequence[str], chance: Random) -> str:
    """Return a request and its answers to choose from, in one of `FORMS`, the answers in any order."""
    drawn = chance.sample(list(labels), len(labels))
    *others, last = drawn
    return chance.choice(FORMS).format(
        text=text,
        lines="\n".join(f"- {label}" for label in drawn),
        listed=", ".join(drawn),
        either=f"{', '.join(others)} or {last}" if others else last,
        slashed=" / ".join(drawn),
    )
