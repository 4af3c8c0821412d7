"""Councils that evaluation frameworks can run in processes of their own: a tiny model, and members without adapters."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from consilium.settings import child_environment
from tests.support.personas import write_catalogue, write_persona
from tests.support.tiny import write_tiny_base

Run = Callable[..., subprocess.CompletedProcess[str]]

TASKS = Path(__file__).parent / "tasks"

collect_ignore = ["tasks"]
"""Read by the frameworks; an Inspect task can be imported only where Inspect is installed."""


@pytest.fixture
def tiny(tmp_path: Path) -> dict[str, str]:
    """Settings of a council whose engine is the real one, with a model of random weights."""
    personas = tmp_path / "personas"
    personas.mkdir()
    for name, group in (("clerk", "shore"), ("pilot", "water"), ("mate", "water")):
        write_persona(personas, name, group, sampling={"max_tokens": 6})
    write_catalogue(personas, {"shore": ["clerk"], "water": ["pilot", "mate"]}, fallback="clerk")
    write_tiny_base(tmp_path / "base")
    return {
        "base": str(tmp_path / "base"),
        "personas": str(personas),
        "database": f"sqlite:///{tmp_path / 'ledger.db'}",
        "cache_dir": str(tmp_path / "cache"),
    }


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a module with arguments, in the test's folder and without a network."""

    def run_(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            cwd=tmp_path,
            env=child_environment(HF_HUB_OFFLINE="1", INSPECT_LOG_DIR=str(tmp_path / "logs"), COLUMNS="120"),
        )

    return run_


def arguments(settings: dict[str, str]) -> list[str]:
    """Return settings as Inspect's command line takes them."""
    return [part for name, value in settings.items() for part in ("-M", f"{name}={value}")]
