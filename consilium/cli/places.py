"""Places to write to, looked at before hours are spent on what goes there."""

import os
from pathlib import Path

from consilium.errors import BadSettings


def writable(path: Path) -> Path:
    """Return a file's path, whose folder is made where it is not there.

    Raises `BadSettings` where it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSettings(f"{path.parent} cannot be made: {error.strerror}. Name another place.") from error
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise BadSettings(f"{path} cannot be written. Name a file in a folder of yours.")
    return path


def drawable(page: Path) -> Path:
    """Return the same for a page with pictures. Raises `MissingExtra` too, where they cannot be drawn."""
    from consilium.evaluation.pictures import empty

    empty(1, 1)
    return writable(page)
