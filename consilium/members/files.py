"""Files read with care and written whole."""

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from consilium.errors import BadPersona


def open_plain(path: Path, *, limit: int) -> BinaryIO:
    """Open a file that somebody handed over: a plain one, no link, of at most ``limit`` bytes.

    Raises:
        BadPersona: it is missing, a link, a folder, a device, too large, or may not be read.
    """
    # Without O_NONBLOCK a pipe would wait for its writer; without O_NOFOLLOW a link could change after a look at it.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if path.is_symlink():
        raise BadPersona(f"{path} is a link. Name the file itself.")
    try:
        handle = os.open(path, flags)
    except FileNotFoundError as error:
        raise BadPersona(f"{path} does not exist. Name a file that does.") from error
    except OSError as error:
        raise BadPersona(f"{path} cannot be read: {error.strerror}. Put a plain file there.") from error
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_size <= limit:
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISREG(found.st_mode):
        raise BadPersona(f"{path} has {found.st_size:,} bytes; at most {limit:,} are read. Use a smaller file.")
    raise BadPersona(f"{path} is not a plain file. Put a plain file there.")


def read_plain(path: Path, *, limit: int) -> bytes:
    """Return what a plain file of at most ``limit`` bytes holds. Raises as `open_plain`."""
    with open_plain(path, limit=limit) as file:
        content = file.read(limit + 1)
    if len(content) > limit:  # it grew after it was opened
        raise BadPersona(f"{path} has more than {limit:,} bytes, which is all that is read. Use a smaller file.")
    return content


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader finds the old content or the new, never a part."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write several files, each whole and in the order given; where one fails, those before it are put back."""
    before: dict[Path, bytes | None] = {}
    try:
        for path, content in files.items():
            earlier = path.read_bytes() if path.is_file() and not path.is_symlink() else None
            write_whole(path, content)
            before[path] = earlier
    except BaseException:
        for path, earlier in before.items():
            if earlier is None:
                path.unlink(missing_ok=True)
            else:
                write_whole(path, earlier)
        raise
