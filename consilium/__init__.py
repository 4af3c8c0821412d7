"""Consilium: a council of LoRA experts over one base model, routed, batched, deliberated and recorded.

>>> import consilium
>>> "Council" in consilium.__all__
True
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consilium.council.council import Council
    from consilium.council.events import Admitted, Concluded, Decided, Event, Stated, Token
    from consilium.council.session import Session
    from consilium.council.turn import Seat, Turn
    from consilium.engines.scripted import ScriptedEngine
    from consilium.errors import ConsiliumError
    from consilium.jobs.job import Job
    from consilium.jobs.result import Result
    from consilium.ledger.memory import MemoryLedger
    from consilium.members.catalogue import Catalogue
    from consilium.scripts.play import Play
    from consilium.scripts.script import Script
    from consilium.suites.evaluation import Evaluation
    from consilium.suites.grade import Grade
    from consilium.suites.suite import Suite

__version__ = "0.1.0"

_HOMES = {
    "Admitted": "consilium.council.events",
    "Catalogue": "consilium.members.catalogue",
    "Concluded": "consilium.council.events",
    "ConsiliumError": "consilium.errors",
    "Council": "consilium.council.council",
    "Decided": "consilium.council.events",
    "Evaluation": "consilium.suites.evaluation",
    "Event": "consilium.council.events",
    "Grade": "consilium.suites.grade",
    "Job": "consilium.jobs.job",
    "MemoryLedger": "consilium.ledger.memory",
    "Play": "consilium.scripts.play",
    "Result": "consilium.jobs.result",
    "Script": "consilium.scripts.script",
    "ScriptedEngine": "consilium.engines.scripted",
    "Seat": "consilium.council.turn",
    "Session": "consilium.council.session",
    "Stated": "consilium.council.events",
    "Suite": "consilium.suites.suite",
    "Token": "consilium.council.events",
    "Turn": "consilium.council.turn",
}

__all__ = [
    "Admitted",
    "Catalogue",
    "Concluded",
    "ConsiliumError",
    "Council",
    "Decided",
    "Evaluation",
    "Event",
    "Grade",
    "Job",
    "MemoryLedger",
    "Play",
    "Result",
    "Script",
    "ScriptedEngine",
    "Seat",
    "Session",
    "Stated",
    "Suite",
    "Token",
    "Turn",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: `import consilium` alone must stay light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'consilium' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
