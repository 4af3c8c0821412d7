"""The scripts that come with the package, played with the real members."""

from dataclasses import replace
from pathlib import Path

import pytest

from consilium import Council, MemoryLedger
from consilium.scripts.script import Script, shipped_scripts
from consilium.scripts.tape import Tape
from consilium.settings import Settings

NAMES = ["debate", "desk", "interview", "pipeline", "quay", "socratic"]


def test_six_scripts_come_with_the_package_and_fit_the_members() -> None:
    assert [path.name.removesuffix(".play.toml") for path in shipped_scripts()] == NAMES
    for name in NAMES:
        script = Script.read(name)
        script.catalogue(Settings.load().personas)
        assert script.file.description


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("name", NAMES)
async def test_a_shipped_script_passes_and_is_replayed_to_the_byte(name: str, tmp_path: Path) -> None:
    script = Script.read(name)
    tape = Tape()
    # What is said is the same on a machine that is busy with other work; it only takes longer.
    council = script.open(ledger=MemoryLedger(), deadline_s=1_800)
    play = await played(script, tape.recording(council))
    assert play.passed, [*play.failed(), play.stopped]
    tape.write(tmp_path / "first.json", play)

    again = Tape.read(tmp_path / "first.json")
    replayed = await played(script, again.open(script))
    assert replace(replayed, differences=again.differences(replayed)).passed
    again.write(tmp_path / "second.json", replayed)
    assert (tmp_path / "first.json").read_bytes() == (tmp_path / "second.json").read_bytes()


async def played(script: Script, council: Council):  # noqa: ANN201 -- a Play
    async with council:
        return await script.play(council)
