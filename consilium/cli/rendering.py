"""Text that a model, a file or a user wrote, made safe for a terminal."""

import re

_UNSAFE = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # operating system commands, such as setting the clipboard
    r"|\x1b[@-_][0-?]*[ -/]*[@-~]"  # escape sequences
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"  # other controls; bidirectional overrides
)


def clean(text: str) -> str:
    r"""Return ``text`` without anything that could command a terminal; line breaks and tabs stay.

    >>> clean("red \x1b[31malert\x1b[0m\x07")
    'red alert'
    """
    return _UNSAFE.sub("", text)


def shortened(text: str, width: int) -> str:
    r"""Return one line of at most ``width`` characters.

    >>> shortened("one\ntwo three", 9)
    'one two …'
    """
    line = " ".join(clean(text).split())
    return line if len(line) <= width else line[: width - 1] + "…"
