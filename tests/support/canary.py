"""A value that stands for a secret, and the search for it."""

from collections.abc import Iterator
from pathlib import Path

CANARY = "sk-canary-7777"


def check_unseen(*texts: str) -> None:
    """Fail where one of the texts holds the canary, and say where."""
    for text in texts:
        place = text.find(CANARY)
        assert place < 0, f"…{text[max(0, place - 200) : place + 20]}…"


def texts_in(folder: Path) -> Iterator[str]:
    """Yield what every file under a folder holds."""
    return (file.read_bytes().decode(errors="replace") for file in folder.rglob("*") if file.is_file())
