"""What was paid for, kept on disk by what was asked: an evaluation that is cut off goes on where it was."""

import json
import os
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from consilium.errors import BadRows, JobError

SYNCED_EVERY_S = 1.0


class Kept:
    """Values by key; a line of JSON each, appended as it comes. A torn last line is dropped.

    What is kept outlives the process, however that ends. The disk is synced once a second: what a machine that loses
    its power had kept in the last one may be gone.

    Raises:
        BadRows: the file is there and holds something else.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = _read(file)
        self._synced = time.monotonic()

    def __contains__(self, key: str) -> bool:
        """Say whether a value is known."""
        return key in self._known

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 -- whatever JSON was kept
        """Return a value that is known."""
        return self._known[key]

    def __iter__(self) -> Iterator[str]:
        """Yield the keys."""
        return iter(self._known)

    def keep(self, key: str, value: object) -> None:
        """Keep a value. Raises `JobError` where there is no room; then no part of it is there."""
        line = json.dumps([key, value], ensure_ascii=False).encode() + b"\n"
        try:
            with self._file.open("ab", buffering=0) as file:
                self._append(file, line)
        except OSError as error:
            raise JobError(
                f"{self._file} takes no more: {error.strerror}. Make room, and run the same command again."
            ) from error
        self._known[key] = value

    def _append(self, file: FileIO, line: bytes) -> None:
        end = file.tell()
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[file.write(rest) :]
            if time.monotonic() - self._synced > SYNCED_EVERY_S:
                os.fsync(file.fileno())
                self._synced = time.monotonic()
        except OSError:
            file.truncate(end)
            raise


def _read(file: Path) -> dict[str, Any]:
    """Read what is known; a last line that was cut off is cut off whole."""
    if not file.exists():
        return {}
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    try:
        known = {str(key): value for key, value in map(json.loads, whole.splitlines())}
        if not whole and content and not content.startswith(b'["'):
            raise ValueError("no line of it is one")
    except (ValueError, TypeError) as error:
        raise BadRows(f"{file} holds no answers: {error}. Remove it, or name another file.") from error
    if len(whole) < len(content):
        os.truncate(file, len(whole))
    return known
