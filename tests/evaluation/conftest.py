"""Two invented members at work: one copies in capitals, one names a side; and their rows on disk."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from consilium.engines.protocol import Prompt
from consilium.engines.scripted import Reply, ScriptedEngine
from consilium.members.catalogue import Catalogue
from tests.support.personas import TRAINING, write_catalogue, write_persona

SIDES = ("port", "starboard")
Engine = Callable[[], ScriptedEngine]


@pytest.fixture
def crew(tmp_path: Path) -> Catalogue:
    """``pilot`` names the side of a boat, ``crier`` repeats a message in capitals, ``clerk`` is bare."""
    root = tmp_path / "personas"
    root.mkdir()
    for name, metric in (("pilot", "label"), ("crier", "correction")):
        training = {**TRAINING, "metric": metric}
        write_persona(root, name, "crew", training=training, with_adapter=True)
    write_persona(root, "clerk", "desk")
    write_catalogue(root, {"crew": ["pilot", "crier"], "desk": ["clerk"]}, fallback="clerk")
    return Catalogue.load(root)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder for each of the two, twelve rows in each part."""
    folder = tmp_path / "data"
    for part in ("train", "dev", "test"):
        boats = [{"input": f"{part} boat {n}", "targets": [SIDES[n % 2]]} for n in range(12)]
        calls = [{"input": f"{part} call {n}", "targets": [f"{part} call {n}".upper()]} for n in range(12)]
        for name, rows in (("pilot", boats), ("crier", calls)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / f"{part}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return folder


def replies() -> dict[str, Reply]:
    """What each says: the members know their own work alone, and the clerk says ``port`` to everything."""

    def pilot(prompt: Prompt) -> str:
        asked = prompt.messages[-1].content
        return SIDES[int(asked.split()[-1]) % 2] if "boat" in asked else "aye"

    return {"pilot": pilot, "crier": lambda prompt: prompt.messages[-1].content.upper(), "clerk": "port"}


@pytest.fixture
def speaking() -> Engine:
    """An engine in which they speak."""
    return lambda: ScriptedEngine(replies())
