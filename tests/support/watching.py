"""Watch what a piece of code touches outside of memory, through Python's audit events."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_watchers: list[list[tuple[str, tuple[object, ...]]]] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    for seen in _watchers:
        seen.append((event, arguments))


sys.addaudithook(_hook)  # for good: Python has no way to take one off


class Touched:
    """What was touched so far."""

    def __init__(self, seen: list[tuple[str, tuple[object, ...]]]) -> None:
        self._seen = seen

    @property
    def network(self) -> list[str]:
        """Events of sockets and URL openers."""
        return [event for event, _ in self._seen if event.startswith(("socket.", "urllib.", "http.", "ftplib."))]

    @property
    def processes(self) -> list[str]:
        """Events of started programs and of evaluated code."""
        names = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "compile", "exec", "pickle.find_class")
        return [event for event, _ in self._seen if event in names]

    @property
    def files(self) -> set[Path]:
        """Paths that were opened, made, linked or renamed."""
        events = ("open", "os.mkdir", "os.rename", "os.symlink", "os.link", "shutil.unpack_archive")
        paths = [arguments for event, arguments in self._seen if event in events]
        texts = [os.fsdecode(each) for path in paths for each in path if isinstance(each, str | bytes | os.PathLike)]
        return {Path(text) for text in texts if os.sep in text}


@contextmanager
def watched() -> Iterator[Touched]:
    """Record every audit event while the block runs."""
    seen: list[tuple[str, tuple[object, ...]]] = []
    _watchers.append(seen)
    try:
        yield Touched(seen)
    finally:
        _watchers.remove(seen)


def best_of_three(act: Callable[[], object]) -> float:
    """Return the shortest of three runs, in seconds of this process: what it takes, whatever else the machine does."""
    times = []
    for _ in range(3):
        started = time.process_time()
        act()
        times.append(time.process_time() - started)
    return min(times)
