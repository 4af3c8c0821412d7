"""Run commands as a user does: in a process of their own, in an empty folder."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from consilium.settings import Settings
from tests.support.personas import write_harbour

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run ``consilium`` with arguments; settings point into the test's folder, the base stays in the user's cache."""
    personas = tmp_path / "personas"
    personas.mkdir()
    write_harbour(personas)
    surroundings = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CONSILIUM_")},
        "CONSILIUM_PERSONAS": str(personas),
        "CONSILIUM_DATABASE": f"sqlite:///{tmp_path / 'ledger.db'}",
        "CONSILIUM_CACHE_DIR": str(Settings.load().cache_dir),
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "120",
    }

    def run_(*arguments: str, stdin: str = "", **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "consilium", *arguments],
            capture_output=True,
            text=True,
            check=False,
            input=stdin,
            timeout=600,
            cwd=tmp_path,
            env={**surroundings, **changes},
        )

    return run_
