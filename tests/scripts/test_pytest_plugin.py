"""Scripts as tests, in a pytest of their own."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.support.personas import write_harbour
from tests.support.scripts import write_script

ROOT = Path(__file__).parents[2]
PLUGIN = "consilium.scripts.pytest_plugin"
CONFTEST = """
from pathlib import Path
from tests.support.scripts import open_for

def pytest_consilium_council(script):
    return open_for(script, Path("personas").absolute())
"""
SCRIPT = "[[turns]]\nsay = 'a'\nmembers = ['pilot']\nexpect = {equals = '%s'}\n"


@pytest.fixture
def run(tmp_path: Path):  # noqa: ANN201 -- a function
    """Run pytest on the test's folder; the plugin is named where no installed entry point does."""
    (tmp_path / "personas").mkdir()
    write_harbour(tmp_path / "personas")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    named = any(point.value == PLUGIN for point in entry_points(group="pytest11"))

    def run_(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *([] if named else ["-p", PLUGIN]), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=120,
            env={**os.environ, "PYTHONPATH": str(ROOT), "CONSILIUM_PERSONAS": str(tmp_path / "personas")},
        )

    return run_


def test_the_package_offers_the_plugin_to_pytest() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"consilium": PLUGIN}


def test_scripts_are_collected_and_fail_by_their_lines(tmp_path: Path, run) -> None:  # noqa: ANN001 -- the fixture
    write_script(tmp_path, SCRIPT % "two fathoms", "good.play.toml")
    write_script(tmp_path, SCRIPT % "three", "bad.play.toml")
    write_script(tmp_path, "title: y\nturns: [{say: a}]\n", "yaml.play.yaml")
    write_script(tmp_path, SCRIPT % "no", "not_a_play.toml")
    done = run("-q")
    assert "1 failed, 2 passed" in done.stdout
    assert "bad.play.toml:5: equals three, found: two fathoms" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_broken_script_is_an_error_of_collection(tmp_path: Path, run) -> None:  # noqa: ANN001 -- the fixture
    write_script(tmp_path, "[[turns]]\nsya = 'a'\n", "broken.play.toml")
    done = run("-q")
    assert done.returncode == 2
    assert "line 3: turns.0.sya: no such field here" in done.stdout


@pytest.mark.slow
def test_a_record_beside_a_script_is_replayed_without_a_council(tmp_path: Path, run) -> None:  # noqa: ANN001 -- the fixture
    write_script(tmp_path, SCRIPT % "two fathoms", "a.play.toml")
    assert "1 passed" in run("-q", "--record-plays").stdout
    assert (tmp_path / "a.replay.json").is_file()
    (tmp_path / "conftest.py").write_text("def pytest_consilium_council(script): raise RuntimeError('asked')\n")
    assert "1 passed" in run("-q").stdout
    write_script(tmp_path, SCRIPT.replace("pilot", "mate") % "two fathoms", "a.play.toml")
    done = run("-q")
    assert "1 failed" in done.stdout
    assert "stopped at turn 1" in done.stdout
    assert "differs from its record at turns[0]" in done.stdout
