"""The text of a script, TOML or YAML, read without trusting it: plain data, and the line where each part stands."""

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import re2
import yaml
from pydantic import ValidationError

from consilium.errors import BadPersona, BadScript
from consilium.members.files import read_plain

MAX_SCRIPT_BYTES = 256 * 1024
"""Whole rows of data belong into files of their own."""
MAX_DEPTH = 16
"""Tables and lists inside each other."""

_LONG_KEY = re2.compile(
    r"""(?:(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){%d}""" % MAX_DEPTH  # noqa: UP031 -- braces all over
)
"""A dotted key of many parts, for each of which tomllib keeps the whole way to it."""

_FINE_LINES = 256
"""After so many lines the end of a TOML value is looked for at every so many only, which keeps bombs cheap."""

Place: TypeAlias = tuple[str | int, ...]
"""The way to a part of the data: keys and indices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a script's file holds."""

    path: Path
    data: dict[str, Any]
    lines: Mapping[Place, int]
    """Where each part of the data begins, from 1."""

    def line(self, place: Sequence[str | int]) -> int:
        """Return the line of the part at ``place``, or of the nearest part around it that is there."""
        return next(
            (self.lines[here] for end in range(len(place), 0, -1) if (here := tuple(place[:end])) in self.lines), 1
        )

    def fault(self, place: Sequence[str | int], message: str) -> BadScript:
        """Return the error that says what is wrong at ``place``."""
        named = ".".join(str(step) for step in place)
        return BadScript(f"{self.path}, line {self.line(place)}: {named + ': ' if named else ''}{message}")

    def misfit(self, error: ValidationError, page: str) -> BadScript:
        """Return the error that says where the data does not fit its model; ``page`` says what does."""
        faults = error.errors()
        # Of what may be one of several types every type has its fault; the deepest is of the type that was meant.
        first = max(
            (fault for fault in faults if fault["loc"][:2] == faults[0]["loc"][:2]), key=lambda f: len(f["loc"])
        )
        message = first["msg"].removeprefix("Value error, ").rstrip(".")
        if first["type"] == "extra_forbidden":
            message = "no such field here"
        more = f" And {len(faults) - 1} more." if len(faults) > 1 else ""
        # pydantic's names for the one of several types that it tried
        kinds = ("RowsFile", "tuple[", "function-", "bool", "int", "float", "str", "dict[")
        place = [step for step in first["loc"] if not (isinstance(step, str) and step.startswith(kinds))]
        return self.fault(place, f"{message}. See {page}.{more}")


def read_source(path: Path) -> Source:
    """Read a script's file.

    Raises:
        BadScript: it cannot be read, or is no TOML or YAML by its name and content; the message names the line.
    """
    try:
        text = read_plain(path, limit=MAX_SCRIPT_BYTES).decode("utf-8")
    except BadPersona as error:
        raise BadScript(str(error)) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BadScript(f"{path}, line {line}: not UTF-8 ({error.reason}). Save the file as UTF-8.") from error
    match path.suffix.lower():
        case ".toml":
            return _toml(path, text)
        case ".yaml" | ".yml":
            return _yaml(path, text)
    raise BadScript(f"{path} is neither .toml nor .yaml, which are how scripts come. Name such a file.")


def _toml(path: Path, text: str) -> Source:
    if long := _LONG_KEY.search(text):
        line = text[: long.start()].count("\n") + 1
        raise BadScript(f"{path}, line {line}: more than {MAX_DEPTH} names joined by dots. Lay them flat.")
    try:
        data = tomllib.loads(text)
    except RecursionError as error:
        raise BadScript(f"{path}: lists or tables lie too deep inside each other. Lay them flat.") from error
    except ValueError as error:  # no TOML, or a number of thousands of digits
        raise BadScript(f"{path}: {error}. Correct the TOML.") from error
    source = Source(path=path, data=data, lines=_toml_lines(text))
    for place, part in _places(data):
        if len(place) > MAX_DEPTH and isinstance(part, dict | list):
            raise source.fault(place[:3], f"lies more than {MAX_DEPTH} deep. Lay it flat.")
    return source


def _toml_lines(text: str) -> dict[Place, int]:
    """Return where each part of a sound TOML text begins; no parser tells, so that each statement is read alone."""
    lines: dict[Place, int] = {}
    counts: Counter[Place] = Counter()
    table: Place = ()
    for number, statement in _statements(text):
        held = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _table(held, counts, is_array=statement.lstrip().startswith("[["))
            for end in range(len(table)):
                lines.setdefault(table[: end + 1], number)
        else:
            for place, _ in _places(held):
                lines.setdefault((*table, *place), number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each statement of a sound TOML text with the number of its first line.

    A value that goes over very many lines may take the statements after it along; they are then said to begin with it.
    """
    start, lines = 0, text.splitlines(keepends=True)
    for end in range(1, len(lines) + 1):
        if end - start > _FINE_LINES and end % _FINE_LINES and end < len(lines):
            continue
        statement = "".join(lines[start:end])
        try:
            tomllib.loads(statement)
        except ValueError:
            continue
        yield start + 1, statement
        start = end


def _table(header: dict[str, Any], counts: "Counter[Place]", *, is_array: bool) -> Place:
    """Return the place of the table that a header begins; ``counts`` holds how many each array of tables has so far."""
    keys: list[str] = []
    while header:
        ((key, inside),) = header.items()
        keys.append(key)
        header = inside[0] if isinstance(inside, list) else inside
    place: Place = ()
    for number, key in enumerate(keys, start=1):
        place = (*place, key)
        if is_array and number == len(keys):
            counts[place] += 1
        if counts[place]:
            place = (*place, counts[place] - 1)
    return place


def _places(data: object, place: Place = ()) -> Iterator[tuple[Place, object]]:
    """Yield every part of the data that is one table or list too deep at most, with its place, the outer ones first."""
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in parts:
        yield (here := (*place, key)), value
        if len(here) <= MAX_DEPTH:
            yield from _places(value, here)


class _YamlReader:
    """Builds data from the events of PyYAML's parser, which neither recurses nor builds objects.

    What a script has no use for is refused as it comes: aliases (of which bombs and cycles are made), tags, several
    documents, keys that are there twice or are no text.
    """

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._events = yaml.parse(text, Loader=yaml.SafeLoader)
        self._resolver: Any = yaml.SafeLoader("")  # of whose methods no types are known
        self.lines: dict[Place, int] = {}

    def document(self) -> object:
        """Return what the one document holds; None where there is none."""
        value, found = None, False
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if found:
                    raise self._fault(event, "a second document begins. Write one script a file")
                value, found = self._value(next(self._events), ()), True
        return value

    def _value(self, event: Any, place: Place) -> object:  # noqa: ANN401 -- events of several kinds
        self.lines.setdefault(place, _line(event))
        if len(place) > MAX_DEPTH:
            raise self._fault(event, f"lies more than {MAX_DEPTH} deep. Lay it flat")
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._fault(event, "anchors and aliases are not read. Write the value out, or use [variables]")
        if event.tag is not None and event.tag != "!":
            raise self._fault(event, f"the tag {event.tag!r} is not read. Leave it out")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(place)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(place)
        return self._scalar(event)

    def _mapping(self, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._scalar(event) if isinstance(event, yaml.ScalarEvent) and event.anchor is None else None
            if not isinstance(key, str):
                raise self._fault(event, "this key is no plain text. Put it in quotes, and leave anchors out")
            if key in found:
                raise self._fault(event, f"the key {key!r} is there twice. Keep one")
            self.lines[(*place, key)] = _line(event)
            found[key] = self._value(next(self._events), (*place, key))
        return found

    def _sequence(self, place: Place) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event, (*place, len(found))))
        return found

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        if event.style is not None:  # in quotes or a block: text, whatever it looks like
            return event.value
        tag: str = self._resolver.resolve(yaml.ScalarNode, event.value, (True, False))
        # YAML 1.1 has dates, "<<" and 1:30 as a number; here they stay text.
        kind = tag.rpartition(":")[2]
        if kind not in ("null", "bool", "int", "float") or ":" in event.value:
            return event.value
        try:
            return getattr(self._resolver, f"construct_yaml_{kind}")(yaml.ScalarNode(tag, event.value))
        except ValueError as error:
            raise self._fault(event, f"{error}. Shorten it") from error

    def _fault(self, event: yaml.Event, message: str) -> BadScript:
        return BadScript(f"{self._path}, line {_line(event)}: {message}.")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _yaml(path: Path, text: str) -> Source:
    try:
        reader = _YamlReader(path, text)
        data = reader.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise BadScript(f"{path}{where}: {error.problem or error.context}. Correct the YAML.") from error
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise BadScript(f"{path} is not readable YAML: {error}. Correct the file.") from error
    if not isinstance(data, dict):
        raise BadScript(f"{path}, line 1: a script is a table of keys such as 'turns'. Write one.")
    return Source(path=path, data=data, lines=reader.lines)
