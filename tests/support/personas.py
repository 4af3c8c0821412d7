"""Persona folders and catalogues with invented contents."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit

from consilium.members.catalogue import ADAPTER_FOLDER, CATALOGUE_FILE, PERSONA_FILE
from tests.support.adapters import write_adapter

TRAINING = {"source": "invented for the tests", "licence": "CC0-1.0", "metric": "translation"}


def persona_table(name: str, group: str, /, **changes: object) -> dict[str, Any]:
    """Return the contents of a valid ``persona.toml``, with ``changes``; a change to None removes the field."""
    table = {
        "schema_version": 1,
        "name": name,
        "group": group,
        "description": f"The {name}, who keeps the harbour's books.",
        "system_prompt": f"You are the {name}. Answer in one line.",
        "examples": ["How many boats came in?", "Which berth is free?", "Who owes a fee?"],
    }
    return {field: value for field, value in {**table, **changes}.items() if value is not None}


def write_persona(root: Path, name: str, group: str, /, *, with_adapter: bool = False, **changes: object) -> Path:
    """Write a member's folder under ``root``, with a tiny adapter if asked, and return its ``persona.toml``."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    if with_adapter:
        pin = write_adapter(folder / ADAPTER_FOLDER)
        changes = {"training": TRAINING, "adapter": pin.model_dump(), **changes}
    path = folder / PERSONA_FILE
    path.write_text(tomlkit.dumps(persona_table(name, group, **changes)), encoding="utf-8")
    return path


def write_catalogue(root: Path, groups: Mapping[str, Sequence[str]], *, fallback: str) -> Path:
    """Write ``catalogue.toml`` alone and return its path."""
    tables = {slug: {"description": f"The {slug}.", "members": list(names)} for slug, names in groups.items()}
    path = root / CATALOGUE_FILE
    path.write_text(tomlkit.dumps({"schema_version": 1, "fallback": fallback, "groups": tables}), encoding="utf-8")
    return path


def write_harbour(root: Path) -> Path:
    """Write a whole catalogue of three: the bare ``clerk`` (the fallback), and ``pilot`` and ``mate`` with adapters."""
    write_persona(root, "clerk", "shore")
    write_persona(root, "pilot", "water", with_adapter=True)
    write_persona(root, "mate", "water", with_adapter=True)
    write_catalogue(root, {"shore": ["clerk"], "water": ["pilot", "mate"]}, fallback="clerk")
    return root
