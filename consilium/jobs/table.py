"""Rows of a job, read one by one out of JSONL, CSV or Parquet."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from consilium.errors import BadRows, MissingExtra

MAX_LINE_BYTES = 4_000_000

TableRow: TypeAlias = Mapping[str, Any] | BadRows
"""What a line holds, or why it cannot be read; the lines after it can be."""


def table_rows(path: Path) -> Iterator[tuple[int, TableRow]]:
    """Yield (line from 1, row) of a ``.jsonl``, ``.csv`` or ``.parquet`` file; never more than a few rows in memory.

    Raises:
        BadRows: the file is missing, empty or of another kind, or cannot be read on after some line.
        MissingExtra: Parquet without pyarrow.
    """
    read = {".jsonl": _jsonl, ".ndjson": _jsonl, ".csv": _csv, ".parquet": _parquet}.get(path.suffix.lower())
    if read is None:
        raise BadRows(f"{path} ends in {path.suffix!r}. Name a .jsonl, .csv or .parquet file.")
    empty = True
    try:
        for number, row in read(path):
            empty = False
            yield number, row
    except OSError as error:
        raise BadRows(f"{path} cannot be read: {error.strerror or error}. Name an existing file.") from error
    if empty:
        raise BadRows(f"{path} holds no rows. Name another file.")


def _jsonl(path: Path) -> Iterator[tuple[int, TableRow]]:
    with path.open("rb") as file:
        for number, line in _lines(file):
            if isinstance(line, BadRows):
                yield number, line
            elif line.strip():
                yield number, _object(line)


def _object(line: str) -> TableRow:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return BadRows(f"no JSON: {error}. Correct the line.")
    return row if isinstance(row, dict) else BadRows(f"{line.strip()!r:.60} is no JSON object. Write one a line.")


def _csv(path: Path) -> Iterator[tuple[int, TableRow]]:
    with path.open("rb") as file:
        # A field may hold line breaks: what cannot be decoded takes the whole record with it, and all that follows.
        reader = csv.reader((_readable(path, *entry) for entry in _lines(file)), strict=True)
        try:
            head = next(reader, [])
            if len(set(head)) < len(head):
                raise BadRows(f"{path}: the header {head!r:.80} names a column twice. Rename one.")
            for cells in reader:
                if len(cells) == len(head):
                    yield reader.line_num, dict(zip(head, cells, strict=True))
                elif cells:
                    yield reader.line_num, BadRows(f"{len(cells)} columns, the header has {len(head)}. Correct it.")
        except csv.Error as error:
            raise BadRows(f"{path} line {reader.line_num}: {error}. Correct the line.") from error


def _readable(path: Path, number: int, line: str | BadRows) -> str:
    if isinstance(line, BadRows):
        raise BadRows(f"{path} line {number}: {line}")
    return line


def _lines(file: BinaryIO) -> Iterator[tuple[int, str | BadRows]]:
    for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), 1):
        if len(line) > MAX_LINE_BYTES:
            while not line.endswith(b"\n") and (line := file.readline(MAX_LINE_BYTES)):
                pass
            yield number, BadRows(f"more than {MAX_LINE_BYTES:,} bytes, all that is read of a line. Shorten it.")
            continue
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            yield number, BadRows(f"not UTF-8: {error.reason} at byte {error.start}. Convert the file.")


def _parquet(path: Path) -> Iterator[tuple[int, TableRow]]:
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtra("Parquet needs pyarrow: pip install 'consilium[parquet]'") from error
    try:
        with ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except ArrowInvalid as error:
        raise BadRows(f"{path} is no Parquet file: {error}. Write it anew.") from error
