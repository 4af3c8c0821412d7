"""Rows of text as a member learns them: a request and the replies that are accepted for it."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consilium.errors import BadRows
from consilium.members.persona import RowsSpec

MAX_LINE_BYTES = 400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request and the replies that are accepted for it; the first is the one that is learned."""

    request: str
    replies: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Rows to learn from, to choose by, and to be measured on; no request stands in two of them."""

    train: tuple[Row, ...]
    dev: tuple[Row, ...]
    test: tuple[Row, ...]


def read_split(data: Path, spec: RowsSpec) -> Split:
    """Read ``data`` as ``spec`` says.

    Args:
        data: a folder with ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl``, or one JSONL file. Of one file the works
            in ``spec.held_out``, or else the last fifth, are kept back: their even rows are dev, their odd ones test.
        spec: which fields to read and which rows to leave out.

    Raises:
        BadRows: naming file, line and reason; nothing is returned in part.
    """
    if data.is_dir():
        parts = {name: tuple(_rows(data / f"{name}.jsonl", spec)) for name in ("train", "dev", "test")}
    else:
        parts = _cut(data, spec)
    parts["test"] = _without(parts["test"], parts["train"])
    parts["dev"] = _without(parts["dev"], parts["train"] + parts["test"])
    if empty := [name for name, rows in parts.items() if not rows]:
        raise BadRows(f"{data} leaves no row for {empty[0]}. Give more rows, or relax [training.rows].")
    return Split(**parts)


def _without(rows: tuple[Row, ...], others: tuple[Row, ...]) -> tuple[Row, ...]:
    taken = {row.request for row in others}
    return tuple(row for row in rows if row.request not in taken)


def _cut(data: Path, spec: RowsSpec) -> dict[str, tuple[Row, ...]]:
    if spec.held_out:
        train = tuple(_rows(data, spec, keep=lambda entry: entry.get("work") not in spec.held_out))
        held = tuple(_rows(data, spec, keep=lambda entry: entry.get("work") in spec.held_out))
    else:
        rows = tuple(_rows(data, spec))
        border = len(rows) * 4 // 5
        train, held = rows[:border], rows[border:]
    return {"train": train, "dev": held[::2], "test": held[1::2]}


def _rows(path: Path, spec: RowsSpec, *, keep: Callable[[dict[str, Any]], bool] = lambda _entry: True) -> Iterator[Row]:
    """Yield the rows of one file that ``keep`` lets through and the specification does not leave out."""
    excluded = re.compile(rf"\b({'|'.join(map(re.escape, spec.exclude))})", re.IGNORECASE) if spec.exclude else None
    entries = [(number, entry) for number, entry in read_jsonl(path) if keep(entry)]
    read = _dialogue if spec.kind == "dialogue" else _pairs
    for request, replies in read(path, entries, spec):
        text = f"{request} {replies[0]}"
        if (
            spec.min_input_chars <= len(request) <= spec.max_input_chars
            and len(replies[0]) <= spec.max_target_chars
            and not (excluded and excluded.search(text))
        ):
            yield Row(request=request, replies=replies)


def _pairs(
    path: Path, entries: list[tuple[int, dict[str, Any]]], spec: RowsSpec
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for count, (number, entry) in enumerate(entries):
        request = _text(path, number, entry, spec.input)
        target = entry.get(spec.target)
        given = target if isinstance(target, list) else [target]
        replies = tuple(reply for reply in given if isinstance(reply, str) and reply.strip())
        if not replies or len(replies) != len(given):
            raise BadRows(f"{path} line {number}: {spec.target!r} is {target!r:.60}. Give a text, or a list of texts.")
        phrasing = spec.requests[count % len(spec.requests)]
        yield phrasing.replace("{input}", request), replies


def _dialogue(
    path: Path, entries: list[tuple[int, dict[str, Any]]], spec: RowsSpec
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Pair each speech of ``spec.speaker`` with what somebody else said just before it in the same work."""
    before: dict[str, Any] = {}
    for number, entry in entries:
        text, speaker = _text(path, number, entry, "text"), _text(path, number, entry, "speaker")
        if before and speaker == spec.speaker != before["speaker"] and entry.get("work") == before.get("work"):
            yield before["text"], (text,)
        before = {**entry, "text": text, "speaker": speaker}


def _text(path: Path, number: int, entry: dict[str, Any], field: str) -> str:
    value = entry.get(field)
    if not isinstance(value, str) or not value.strip():
        raise BadRows(f"{path} line {number}: {field!r} is {value!r:.60}. Each row needs a text there.")
    return value.strip()


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, object) of a JSONL file. Raises `BadRows` naming file, line and reason."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), 1):
                if line.strip():
                    yield number, _object(path, number, line)
    except OSError as error:
        raise BadRows(f"{path} cannot be read: {error.strerror}. Name an existing JSONL file.") from error


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise BadRows(f"{path} line {number} has more than {MAX_LINE_BYTES:,} bytes, all that is read. Shorten it.")
    try:
        entry = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadRows(
            f"{path} line {number} is not UTF-8: {error.reason} at byte {error.start}. Convert the file."
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadRows(f"{path} line {number} is not JSON: {error}. Correct the line.") from error
    if not isinstance(entry, dict):
        raise BadRows(f"{path} line {number} is {type(entry).__name__}, not an object. Correct the line.")
    return entry
