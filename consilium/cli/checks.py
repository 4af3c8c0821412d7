"""One thing that `consilium doctor` looked at."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was looked at, and what was found."""

    name: str
    state: Literal["ok", "warn", "fail"]
    finding: str
