"""A pytest plugin: every ``*.play.toml`` and ``*.play.yaml`` that pytest comes across is a test.

A script with a record beside it, ``NAME.replay.json`` beside ``NAME.play.toml``, is replayed with no model; another is
played with the council of the settings, or with the one that the hook ``pytest_consilium_council`` returns. What is
played is kept in memory, never in the user's ledger. Heavy imports wait until there is a script.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest._code.code import TerminalRepr, TracebackStyle

    from consilium.council.council import Council
    from consilium.scripts.play import Play
    from consilium.scripts.script import Script

SUFFIXES = (".play.toml", ".play.yaml", ".play.yml")


class Hooks:
    """What a ``conftest.py`` may define."""

    @pytest.hookspec(firstresult=True)
    def pytest_consilium_council(self, script: "Script") -> "Council | None":
        """Return the council that plays the script, not used yet; None leaves it to the settings."""


class PlayFailed(Exception):
    """A play in which something did not hold."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hook."""
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option."""
    parser.getgroup("consilium").addoption(
        "--record-plays", action="store_true", help="Play every script anew and write its record beside it."
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "ScriptFile | None":
    """Collect a script."""
    return ScriptFile.from_parent(parent, path=file_path) if file_path.name.endswith(SUFFIXES) else None


class ScriptFile(pytest.File):
    """A script's file."""

    def collect(self) -> "Iterator[ScriptItem]":
        """Yield the one test that it is; a broken script is an error of collection."""
        from consilium.errors import BadScript
        from consilium.scripts.script import Script

        try:
            script = Script.read(self.path)
        except BadScript as error:
            raise self.CollectError(str(error)) from error
        yield ScriptItem.from_parent(self, name=script.file.title, script=script)


class ScriptItem(pytest.Item):
    """A script as a test."""

    def __init__(self, *, script: "Script", **of_pytest: object) -> None:
        super().__init__(**of_pytest)  # type: ignore[arg-type] # pytest's own affair
        self._script = script

    def runtest(self) -> None:
        """Play the script, or replay its record."""
        from consilium.scripts.tape import Tape

        record = _record_of(self.path)
        recording = self.config.getoption("record_plays")
        tape = Tape.read(record) if record.exists() and not recording else Tape()
        if record.exists() and not recording:
            play = self._played(tape.open(self._script))
            play = replace(play, differences=tape.differences(play))
        else:
            council = self._council()
            play = self._played(tape.recording(council) if recording else council)
        if recording:
            tape.write(record, play)
        if not play.passed:
            raise PlayFailed("\n".join(_reasons(play, self.path)))

    def _council(self) -> "Council":
        from consilium.ledger.memory import MemoryLedger

        council: Council | None = self.config.hook.pytest_consilium_council(script=self._script)
        return council or self._script.open(ledger=MemoryLedger())

    def _played(self, council: "Council") -> "Play":
        async def play() -> "Play":
            async with council:
                return await self._script.play(council)

        return asyncio.run(play())

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: "TracebackStyle | None" = None
    ) -> "str | TerminalRepr":
        """Show what did not hold, or the error of ours, without a traceback."""
        from consilium.errors import ConsiliumError

        if isinstance(excinfo.value, PlayFailed | ConsiliumError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Say where the test stands."""
        return self.path, 0, self.name


def _record_of(path: Path) -> Path:
    suffix = next(suffix for suffix in SUFFIXES if path.name.endswith(suffix))
    return path.with_name(f"{path.name.removesuffix(suffix)}.replay.json")


def _reasons(play: "Play", path: Path) -> Iterator[str]:
    for check in play.failed():
        yield f"{path.name}:{check.line}: {check.name} {check.wanted}, found: {check.found:.200}"
    if play.stopped:
        yield f"{path.name}: stopped at {play.stopped}"
    yield from (f"{path.name}: differs from its record at {difference}" for difference in play.differences)
