"""Fixtures that more than one part of the tests needs."""

from pathlib import Path

import pytest

from tests.support.personas import write_harbour


@pytest.fixture
def harbour(tmp_path: Path) -> Path:
    """Root of a valid catalogue of three invented members."""
    root = tmp_path / "personas"
    root.mkdir()
    return write_harbour(root)
