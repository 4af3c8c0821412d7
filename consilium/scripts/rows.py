"""Rows of data that a script loops over: columns by name, each a text."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from consilium.errors import BadPersona, BadScript
from consilium.members.files import read_plain
from consilium.scripts.script_file import RowsFile, Value

MAX_ROWS_BYTES = 8 * 1024 * 1024

Row: TypeAlias = dict[str, str]


def written(value: Value) -> str:
    """Return a value as it stands in a text.

    >>> written(True), written(2.5), written("a")
    ('true', '2.5', 'a')
    """
    return value if isinstance(value, str) else json.dumps(value)


def read_rows(rows: "RowsFile | Sequence[dict[str, Value]]", folder: Path) -> tuple[Row, ...]:
    """Return the rows, from the script itself or from the file beside it.

    Raises:
        BadScript: the file cannot be read, or a line of it is no row; the message names file and line.
    """
    if not isinstance(rows, RowsFile):
        return tuple({column: written(value) for column, value in row.items()} for row in rows)
    path = folder / rows.file
    try:
        text = read_plain(path, limit=MAX_ROWS_BYTES).decode("utf-8-sig")
    except (BadPersona, UnicodeDecodeError) as error:
        raise BadScript(f"the rows of a script cannot be read from {path}: {error}") from error
    reading = {".jsonl": _json_lines, ".csv": _csv}.get(path.suffix.lower())
    if reading is None:
        raise BadScript(f"{path} is neither .jsonl nor .csv, which are how rows come. Name such a file.")
    found: list[Row] = []
    for row in reading(path, text):
        if len(found) == rows.limit:
            break
        found.append(row)
    return tuple(found)


def _json_lines(path: Path, text: str) -> Iterator[Row]:
    # Not splitlines(), which cuts at characters too that may stand in a JSON text as they are, such as U+2028.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadScript(f"{path}, line {number}: no JSON ({error}). Correct the line.") from error
        if not isinstance(row, dict):
            raise BadScript(f"{path}, line {number}: {line!r:.60} is no JSON object. Write one a line.")
        yield {column: value if isinstance(value, str) else json.dumps(value) for column, value in row.items()}


def _csv(path: Path, text: str) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise BadScript(f"{path}, line {reader.line_num}: not as many columns as the header has. Correct it.")
            yield {str(column): str(value) for column, value in row.items()}
    except csv.Error as error:
        raise BadScript(f"{path}, line {reader.reader.line_num}: {error}. Correct the line.") from error
