"""Figures and tables as Markdown."""

from collections.abc import Sequence

from consilium.evaluation.bootstrap import Interval


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column stands left and the others right."""
    aligned = ["---", *("--:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, aligned, *lines))


def percent(share: float) -> str:
    """Return a share as percent, with one decimal."""
    return f"{100 * share:.1f}"


def interval(gain: Interval) -> str:
    """Return a difference in percent, with the bounds of its interval."""
    return f"{100 * gain.difference:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"


def nats(gain: Interval) -> str:
    """Return a difference of losses, with the bounds of its interval."""
    return f"{gain.difference:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]"
