"""Rows of text as a member learns them: a request and the replies that are accepted for it."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, cycle
from pathlib import Path
from typing import Any, TypeAlias

from consilium.errors import BadRows
from consilium.members.persona import RowsSpec
from consilium.training.edits import with_edits_at

MAX_LINE_BYTES = 400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request and the replies that are accepted for it; the first is the one that is learned."""

    request: str
    replies: tuple[str, ...]
    input: str = ""
    """What the request was phrased around, which a copy is told by; empty: the request is all there is."""
    origin: str = field(default="", compare=False)
    """File and line, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A row, and the system prompt under which it is learned."""

    system_prompt: str
    row: Row


def lessons(system_prompt: str, rows: Iterable[Row]) -> tuple[Lesson, ...]:
    """Return the rows as they are learned under one system prompt."""
    return tuple(Lesson(system_prompt=system_prompt, row=row) for row in rows)


def labels_of(rows: Iterable[Row], most: int = 20) -> tuple[str, ...]:
    """Return the first replies of the rows where there are few different ones, in alphabetical order; else none."""
    labels = sorted({row.replies[0] for row in rows})
    return tuple(labels) if len(labels) <= most else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Rows to learn from, to choose by, and to be measured on.

    No request stands in two of them, but for those of passages, which say little and may well be the same.
    """

    train: tuple[Row, ...]
    dev: tuple[Row, ...]
    test: tuple[Row, ...]
    overlapping: int = 0
    """Rows that were taken out of dev and test, because their request stands elsewhere too."""


Entries: TypeAlias = list[tuple[int, dict[str, Any]]]
"""Numbers of lines, and what stands there."""
Raw: TypeAlias = Iterator[tuple[int, str, tuple[str, ...]]]
"""Numbers of lines, requests before they are phrased, and their replies."""


def read_split(data: Path, spec: RowsSpec) -> Split:
    """Read ``data`` as ``spec`` says.

    Args:
        data: a folder with ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl``, or with the files that ``spec`` names, or
            one JSONL file. Of a file that is not yet split, the works in ``spec.held_out``, or else the last fifth, are
            kept back: their even rows are dev, their odd ones test.
        spec: which fields to read, which rows to leave out, and how requests are phrased.

    Raises:
        BadRows: naming file, line and reason; nothing is returned in part.
    """
    if data.is_dir() and not spec.files:
        train, dev, test = (tuple(_rows(data / f"{name}.jsonl", spec)) for name in ("train", "dev", "test"))
    else:
        files = [data / name for name in spec.files] or [data]
        train, dev, test = (tuple(chain(*parts)) for parts in zip(*(_cut(file, spec) for file in files), strict=True))
    found = len(dev) + len(test)
    learned = _each_reply(train) if spec.learn == "every" else train
    learned = _exchanged(learned, spec.interchangeable)
    if spec.kind != "passages":
        test = _without(test, train + learned)
        dev = _without(dev, train + learned + test)
    if spec.edits_at:
        learned = tuple(_with_edits_at(spec.edits_at, row) for row in learned)
    held_out = spec.held_out_requests or spec.requests
    split = Split(
        train=_phrased(learned, spec.requests),
        dev=_phrased(dev, held_out),
        test=_phrased(test, held_out),
        overlapping=found - len(dev) - len(test),
    )
    if empty := [name for name in ("train", "dev", "test") if not getattr(split, name)]:
        raise BadRows(f"{data} leaves no row for {empty[0]}. Give more rows, or relax [training.rows].")
    return split


def _without(rows: tuple[Row, ...], others: tuple[Row, ...]) -> tuple[Row, ...]:
    taken = {row.request for row in others}
    return tuple(row for row in rows if row.request not in taken)


def _each_reply(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple(replace(row, replies=(reply,)) for row in rows for reply in row.replies)


def _exchanged(rows: Iterable[Row], lists: Sequence[Sequence[str]]) -> tuple[Row, ...]:
    """Put the next word of a list where a row has one of it, in the request and in every reply."""
    exchanged = tuple(rows)
    for words in lists:
        one_of_them = re.compile(rf"\b({'|'.join(map(re.escape, words))})\b")
        following = cycle(words)
        exchanged = tuple(_with_next(row, one_of_them, following) for row in exchanged)
    return exchanged


def _with_next(row: Row, one_of_them: re.Pattern[str], following: Iterator[str]) -> Row:
    texts = (row.request, *row.replies)
    found = [set(one_of_them.findall(text)) for text in texts]
    if len(found[0]) != 1 or any(others != found[0] for others in found):
        return row  # it has none of them, or several that would be mixed up, or none that all its texts share
    other = next(following)
    request, *replies = (one_of_them.sub(other, text) for text in texts)
    return replace(row, request=request, replies=tuple(replies))


def _with_edits_at(mark: str, row: Row) -> Row:
    return replace(row, replies=tuple(with_edits_at(mark, row.request, reply) for reply in row.replies))


def _phrased(rows: Iterable[Row], phrasings: Sequence[str]) -> tuple[Row, ...]:
    """Put the phrasings around the requests, in turn."""
    return tuple(
        replace(row, request=phrasing.replace("{input}", row.request), input=row.request)
        for row, phrasing in zip(rows, cycle(phrasings), strict=False)
    )


def _cut(data: Path, spec: RowsSpec) -> tuple[tuple[Row, ...], tuple[Row, ...], tuple[Row, ...]]:
    """Return rows to train on, to choose by and to test with, all from one file."""
    if spec.held_out:
        train = tuple(_rows(data, spec, keep=lambda entry: entry.get("work") not in spec.held_out))
        held = tuple(_rows(data, spec, keep=lambda entry: entry.get("work") in spec.held_out))
    else:
        rows = tuple(_rows(data, spec))
        border = len(rows) * 4 // 5
        train, held = rows[:border], rows[border:]
    return train, held[::2], held[1::2]


def _rows(path: Path, spec: RowsSpec, *, keep: Callable[[dict[str, Any]], bool] = lambda _entry: True) -> Iterator[Row]:
    """Yield the rows of one file that ``keep`` lets through and the specification does not leave out."""
    excluded = re.compile(rf"\b({'|'.join(map(re.escape, spec.exclude))})", re.IGNORECASE) if spec.exclude else None
    entries = [(number, entry) for number, entry in read_jsonl(path) if keep(entry)]
    _check_ids(path, entries)
    read = {"pairs": _pairs, "dialogue": _dialogue, "passages": _passages}[spec.kind]
    for number, request, replies in read(path, entries, spec):
        text = f"{request} {replies[0]}"
        if (
            spec.min_input_chars <= len(request) <= spec.max_input_chars
            and spec.min_target_chars <= len(replies[0]) <= spec.max_target_chars
            and not (excluded and excluded.search(text))
        ):
            row = Row(request=request, replies=replies, origin=f"{path} line {number}")
            _check_whole(row)
            yield row


def _check_whole(row: Row) -> None:
    try:
        "".join((row.request, *row.replies)).encode()
    except UnicodeEncodeError as error:  # JSON can say \ud83d alone
        half = error.object[error.start]
        raise BadRows(f"{row.origin} holds half of a character, {half!r}. Write it out whole.") from error


def _check_ids(path: Path, entries: Entries) -> None:
    """Refuse an ``id`` that two rows share: one of them is a copy, or was not meant to be in this file."""
    lines: dict[str, int] = {}
    for number, entry in entries:
        if "id" not in entry:
            continue
        key = json.dumps(entry["id"])
        if key in lines:
            raise BadRows(
                f"{path} line {number}: id {entry['id']!r} stands in line {lines[key]} too. Remove one of them."
            )
        lines[key] = number


def _pairs(path: Path, entries: Entries, spec: RowsSpec) -> Raw:
    for number, entry in entries:
        request = _text(path, number, entry, spec.input)
        target = entry.get(spec.target)
        given = target if isinstance(target, list) else [target]
        replies = tuple(reply for reply in given if isinstance(reply, str) and reply.strip())
        if not replies or len(replies) != len(given):
            raise BadRows(f"{path} line {number}: {spec.target!r} is {target!r:.60}. Give a text, or a list of texts.")
        yield number, request, replies


def _dialogue(path: Path, entries: Entries, spec: RowsSpec) -> Raw:
    """Pair each speech of ``spec.speaker`` with what somebody else said just before it in the same work."""
    before: dict[str, Any] = {}
    for number, entry in entries:
        text, speaker = _text(path, number, entry, "text"), _text(path, number, entry, "speaker")
        of_interest = spec.speaker in ("", speaker) and before and speaker != before["speaker"]
        if of_interest and entry.get("work") == before.get("work"):
            yield number, before["text"], (text,)
        before = {**entry, "text": text, "speaker": speaker}


def _passages(path: Path, entries: Entries, spec: RowsSpec) -> Raw:
    """Ask for each passage by its topic: the noun that is most its own (tf-idf over the passages)."""
    passages = [_text(path, number, entry, spec.target) for number, entry in entries]
    words = [Counter(_WORD.findall(passage.lower())) for passage in passages]
    known_in = Counter(word for counts in words for word in counts)
    nouns = _nouns(passages)

    def weight(word: str, times: int) -> tuple[float, str]:
        return times * math.log(len(passages) / known_in[word]), word

    for (number, _), passage, counts in zip(entries, passages, words, strict=True):
        # A word of a single passage is as likely a name or a slip as a topic.
        topics = [weight(word, times) for word, times in counts.items() if known_in[word] > 1 and word in nouns]
        if topics:
            yield number, max(topics)[1], (passage,)


_WORD = re.compile(r"[^\W\d_]{4,}")
_DETERMINER = r"(?:the|an?|my|thy|his|her|its|our|your|their|this|that|no|every)"
_AFTER_A_DETERMINER = re.compile(rf"\b{_DETERMINER} ([^\W\d_]{{4,}})\b(?! [^\W\d_])")
"""A word between a determiner and something that is no word: what follows an adjective is a word."""


def _nouns(texts: Iterable[str]) -> set[str]:
    """Return the words that end a phrase which a determiner begins: with few exceptions nouns, and no tagger needed."""
    return {word for text in texts for word in _AFTER_A_DETERMINER.findall(text.lower())}


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
