"""JSON from strangers: parsed strictly, and changed in one place while every other byte stays.

A character card belongs to whoever made it. Parsing and dumping it again would reorder nothing but still rewrite
numbers, escapes and blanks; hence a change is cut into the text itself.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Never

from consilium.errors import BadPersona

_DECODER = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\r\n]*")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a repeated key: readers differ in which of the two they take, so the checked one may not be the used."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key occurs twice")
    return table


def parse_object(text: str, *, where: str) -> dict[str, Any]:
    """Parse the JSON object ``text``; ``where`` opens the message of an error.

    Raises:
        BadPersona: not JSON as RFC 8259 has it (NaN and Infinity are not), a repeated key, a number of thousands of
            digits, nesting deeper than Python's own limit, or no object.
    """
    try:
        value = json.loads(text, object_pairs_hook=unique, parse_constant=_refuse)
    except RecursionError as error:
        raise BadPersona(f"{where} is nested too deeply to be read. Export the card again.") from error
    except ValueError as error:
        raise BadPersona(f"{where} is not readable JSON: {error}. Export the card again.") from error
    if not isinstance(value, dict):
        raise BadPersona(f"{where} holds a JSON {type(value).__name__}, not an object. Export the card again.")
    return value


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is no JSON number")


def with_value(text: str, path: Sequence[str], value: object) -> str:
    r"""Return the JSON object ``text`` with ``value`` at ``path``; all else stays as it is, byte for byte.

    A key that is missing is added at the end of its object. ``text`` went through `parse_object` before, and what
    lies on the path are objects.

    >>> with_value('{"a": {"x": 1.10,  "y": "\\u00e9"}, "b": []}', ("a", "x"), 2)
    '{"a": {"x": 2,  "y": "\\u00e9"}, "b": []}'
    >>> with_value('{"a": {}}', ("a", "b", "c"), "new")
    '{"a": {"b": {"c": "new"}}}'
    """
    start, end = _after_blanks(text, 0), len(text)
    for depth, key in enumerate(path):
        last = None
        for last in _fields(text, start):
            if last.key == key:
                break
        if last is None or last.key != key:
            for missing in reversed(path[depth + 1 :]):
                value = {missing: value}
            cut, comma = (start + 1, "") if last is None else (last.end, ", ")
            return f"{text[:cut]}{comma}{_dumped(key)}: {_dumped(value)}{text[cut:]}"
        start, end = last.start, last.end
    return text[:start] + _dumped(value) + text[end:]


class _Field(NamedTuple):
    """A key of an object, and where its value starts and ends in the text."""

    key: str
    start: int
    end: int


def _fields(text: str, start: int) -> Iterator[_Field]:
    """Yield the fields of the object that starts at ``start``."""
    at = _after_blanks(text, start + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        first = _after_blanks(text, _after_blanks(text, at) + 1)
        _, end = _DECODER.raw_decode(text, first)
        yield _Field(key, first, end)
        at = _after_blanks(text, end)
        if text[at] == ",":
            at = _after_blanks(text, at + 1)


def _after_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return at if found is None else found.end()


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
