"""The same request laid out anew: what a router meets when people paste, quote, shorten and mistype."""

import csv
import io
import json
import re
import string
from collections.abc import Callable, Mapping
from random import Random

Fields = Mapping[str, str]
Layout = Callable[[Fields, Random], str]

_LINE = re.compile(r"^\s*([A-Z][\w ]{0,30}):[ \t]*(\S.*?)\s*$", re.MULTILINE)
_BRACKETS = re.compile(r"([A-Za-z ]{1,30})\[([^\]]+)\](?:,\s*)?")
TYPOS = 0.1
"""Share of words that a typing error falls into."""
GREETINGS = (
    "Hello,",
    "Hi there!",
    "Good morning.",
    "Dear all,",
    "Hey",
    "I got this today.",
    "Have a look:",
    "From a friend:",
)
REGARDS = (
    "Thanks!",
    "Best wishes",
    "Kind regards",
    "Cheers",
    "Many thanks in advance.",
    "Nothing more to add.",
    "See you",
)


def fields_of(text: str) -> dict[str, str]:
    r"""Return the named parts of a request; one that has none is a part called ``text``.

    >>> fields_of("Premise: A man sleeps.\nHypothesis: He is awake.")
    {'Premise': 'A man sleeps.', 'Hypothesis': 'He is awake.'}
    >>> fields_of("name[The Plough], food[Thai]")
    {'name': 'The Plough', 'food': 'Thai'}
    >>> fields_of("Where is my hat?")
    {'text': 'Where is my hat?'}
    """
    lines = _LINE.findall(text)
    if len(lines) > 1 and len(lines) == len([line for line in text.splitlines() if line.strip()]):
        return dict(lines)
    parts = _BRACKETS.findall(text)
    if parts and not _BRACKETS.sub("", text).strip():
        return {name.strip(): value for name, value in parts}
    return {"text": text.strip()}


def _lined(form: str, fields: Fields) -> str:
    return "\n".join(form.format(name=name, value=value) for name, value in fields.items())


def _bare(fields: Fields) -> str:
    """Return the parts as they were, roughly: a single part stands without its name."""
    return next(iter(fields.values())) if len(fields) == 1 else _lined("{name}: {value}", fields)


def _bracketed(fields: Fields, chance: Random) -> str:
    left, right = chance.choice([("[", "]"), ("(", ")"), ("«", "»"), ("*", "*"), ("_", "_"), ("~", "~")])
    return _lined(f"{left}{{name}}{right} {{value}} {left}/{{name}}{right}", fields)


def _bullets(fields: Fields, _chance: Random) -> str:
    return _lined("* {value}" if len(fields) == 1 else "* {name}: {value}", fields)


def _csv(fields: Fields, _chance: Random) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([list(fields), list(fields.values())])
    return written.getvalue().strip()


def _fenced(fields: Fields, chance: Random) -> str:
    fence = chance.choice(["```", "---", '"""', "====="])
    return f"{fence}\n{_bare(fields)}\n{fence}"


def _headed(fields: Fields, chance: Random) -> str:
    return _lined(chance.choice(["# {name}\n{value}", "{name}\n----\n{value}", "== {name} ==\n{value}"]), fields)


def _json(fields: Fields, _chance: Random) -> str:
    return json.dumps(fields, ensure_ascii=False)


def _letter(fields: Fields, chance: Random) -> str:
    return f"{chance.choice(GREETINGS)}\n\n{_bare(fields)}\n\n{chance.choice(REGARDS)}"


def _lower(fields: Fields, _chance: Random) -> str:
    return _bare(fields).lower()


def _prose(fields: Fields, _chance: Random) -> str:
    if len(fields) == 1:
        return f"Here is the text I have in front of me: {_bare(fields)} That is all of it."
    return " ".join(f"The {name.lower()} is {value.rstrip('.')}." for name, value in fields.items())


def _question(fields: Fields, _chance: Random) -> str:
    if len(fields) == 1:
        return f"Could you have a look at this for me: {_bare(fields)}?"
    *given, (last, value) = fields.items()
    known = " and ".join(f"{name.lower()} {text.rstrip('.')!r}" for name, text in given)
    return f"Given {known}, what about the {last.lower()} {value.rstrip('.')!r}?"


def _quoted(fields: Fields, _chance: Random) -> str:
    return _lined("> {value}" if len(fields) == 1 else "> {name}: {value}", fields)


def _semicolons(fields: Fields, _chance: Random) -> str:
    return "; ".join(f"{name.lower()} = {value}" for name, value in fields.items())


def _typos(fields: Fields, chance: Random) -> str:
    return re.sub(r"\w{4,}", lambda word: _mistyped(word[0], chance), _bare(fields))


def _mistyped(word: str, chance: Random) -> str:
    if chance.random() > TYPOS:
        return word
    place = chance.randrange(len(word) - 1)
    a, b = word[place], word[place + 1]
    return (
        word[:place]
        + chance.choice([b + a, a, a + a + b, chance.choice(string.ascii_lowercase) + b])
        + word[place + 2 :]
    )


def _unpunctuated(fields: Fields, _chance: Random) -> str:
    return re.sub(r"[^\w\s]", "", " ".join(fields.values()))


def _upper(fields: Fields, _chance: Random) -> str:
    return _bare(fields).upper()


def _xml(fields: Fields, _chance: Random) -> str:
    tags = {name: re.sub(r"\W", "", name).lower() for name in fields}
    return "\n".join(f"<{tags[name]}>{value}</{tags[name]}>" for name, value in fields.items())


LAYOUTS: Mapping[str, Layout] = {
    "bracketed": _bracketed,
    "bullets": _bullets,
    "csv": _csv,
    "fenced": _fenced,
    "headed": _headed,
    "json": _json,
    "letter": _letter,
    "lower": _lower,
    "prose": _prose,
    "question": _question,
    "quoted": _quoted,
    "semicolons": _semicolons,
    "typos": _typos,
    "unpunctuated": _unpunctuated,
    "upper": _upper,
    "xml": _xml,
}
NEW_LAYOUTS = ("bullets", "prose", "quoted", "xml")
"""Those in which nothing is fitted on."""


def laid_out(text: str, layout: str, chance: Random) -> str:
    r"""Return ``text`` in a layout of `LAYOUTS`.

    >>> laid_out("Premise: A man sleeps.\nHypothesis: He is awake.", "semicolons", Random(0))
    'premise = A man sleeps.; hypothesis = He is awake.'
    """
    return LAYOUTS[layout](fields_of(text), chance)
