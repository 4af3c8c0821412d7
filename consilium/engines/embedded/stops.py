"""Stop strings in streamed text: nothing that may turn out to be part of one is let through."""

from collections.abc import Sequence


class StopScanner:
    """Passes text on until one of the stop strings appears in it.

    >>> scanner = StopScanner(["END"])
    >>> scanner.feed("one E"), scanner.feed("lse EN"), scanner.feed("D two"), scanner.stopped
    ('one ', 'Else ', '', True)
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """Take the next piece and return what is safe to show."""
        if not self._stops:
            return text
        text = self._held + text
        if found := [at for stop in self._stops if (at := text.find(stop)) >= 0]:
            self.stopped = True
            self._held = ""
            return text[: min(found)]
        keep = max((n for stop in self._stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """Return what was held back when no stop string came of it."""
        held, self._held = self._held, ""
        return held
