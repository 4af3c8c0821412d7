"""Scripts for the three of the harbour, and councils that play them without a model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from consilium import Council, MemoryLedger, ScriptedEngine
from consilium.engines.scripted import Reply
from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Decision, Request
from consilium.routing.selection import Selection
from consilium.scripts.play import Play
from consilium.scripts.script import Script

SAID: Mapping[str, Reply] = {"pilot": "two fathoms", "mate": "Two fathoms.", "clerk": "3 boats of 1,250 tons"}

TITLE = 'title = "A test"\n'


class Obedient:
    """A router without a model that keeps to what a request asks: the pilot is likeliest, then the mate."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def digest(self) -> str:
        return "0" * 64

    async def route(self, request: Request) -> Decision:
        likely = {"pilot": 0.5, "mate": 0.3}
        others = len(self._catalogue.members) - len(likely)
        scores = {name: likely.get(name, 0.2 / others) for name in self._catalogue.members}
        return Selection().decide(scores, request, self._catalogue, router="obedient", digest=self.digest())


def write_script(folder: Path, text: str, name: str = "a.play.toml") -> Path:
    """Write a script's file; TOML gets a title in its first line where it has none."""
    path = folder / name
    path.write_text(text if "title" in text or path.suffix != ".toml" else TITLE + text, encoding="utf-8")
    return path


def open_for(script: Script, personas: Path, *, replies: Mapping[str, Reply] = SAID, **settings: Any) -> Council:  # noqa: ANN401 -- as Council.open
    """Open a council of the harbour for a script, which says what it is told to."""
    settings = {"engine": ScriptedEngine(replies), "ledger": MemoryLedger(), **settings}
    return script.open(router=Obedient(script.catalogue(personas)), personas=personas, **settings)


async def play_text(personas: Path, text: str, *, replies: Mapping[str, Reply] = SAID, **settings: Any) -> Play:  # noqa: ANN401 -- as Council.open
    """Write, read and play a script."""
    script = Script.read(write_script(personas.parent, text))
    async with open_for(script, personas, replies=replies, **settings) as council:
        return await script.play(council)


def seated(play: Play) -> list[list[str]]:
    """Return who sat in each turn."""
    return [[seat.member for seat in played.turn.seats] for played in play.turns]
