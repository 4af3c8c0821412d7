"""consilium play, run as a user runs it: what is printed, and how it ends."""

import json
from pathlib import Path

import pytest

from consilium.scripts.script import Script
from consilium.scripts.tape import Tape
from tests.cli.conftest import Run
from tests.support.scripts import open_for, write_script

TEXT = """
variables = {who = "user\\u001b[31m"}
[[turns]]
say = "I am the {who}"
members = ["pilot", "mate"]
expect = {sits = ["pilot"], equals = "%s"}
[expect]
tokens_at_most = 4
"""


@pytest.fixture
async def record(tmp_path: Path) -> Path:
    """Record the play of a script, and return the record."""

    script = Script.read(write_script(tmp_path, TEXT % "two fathoms"))
    tape = Tape()
    async with tape.recording(open_for(script, tmp_path / "personas")) as council:
        tape.write(tmp_path / "a.replay.json", await script.play(council))
    return tmp_path / "a.replay.json"


def test_a_replay_prints_the_transcript_and_needs_no_model(run: Run, record: Path) -> None:
    done = run("play", "a.play.toml", "--replay", record.name, "--record", "b.json", CONSILIUM_CACHE_DIR="/nowhere")
    assert done.returncode == 0, done.stderr
    shown = [
        "turn 1 of 1",
        "user     I am the user",
        "pilot 0.62, mate",
        "two fathoms",
        "verdict",
        "holds    sits",
    ]
    places = [done.stdout.index(text) for text in shown]
    assert places == sorted(places)
    assert "passed   1 turns, 3 of 3 expectations hold, 4 tokens" in done.stdout
    assert "\x1b" not in done.stdout
    assert (record.parent / "b.json").read_bytes() == record.read_bytes()


def test_json_is_one_line_with_everything(run: Run, record: Path) -> None:
    done = run("play", "a.play.toml", "--replay", record.name, "--json")
    (line,) = done.stdout.splitlines()
    play = json.loads(line)
    assert play["passed"] is True
    assert [seat["member"] for seat in play["turns"][0]["turn"]["seats"]] == ["pilot", "mate"]
    assert [check["held"] for check in play["turns"][0]["checks"]] == [True, True]


def test_a_failed_expectation_and_a_difference_end_with_one(run: Run, record: Path, tmp_path: Path) -> None:
    write_script(tmp_path, TEXT % "three")
    done = run("play", "a.play.toml", "--replay", record.name)
    assert done.returncode == 1
    assert "fails    equals three, found: two fathoms (line 7)" in done.stdout
    assert "differs  turns[0].checks[1].held: recorded True, now False" in done.stdout
    done = run("play", "a.play.toml", "--replay", record.name, "--set", "who=crew")
    assert done.returncode == 1
    assert "the record holds no decision on 'I am the crew" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no script is named"),
        (("nowhere.toml",), "does not exist"),
        (("a.play.toml", "--set", "who"), "has no '='"),
        (("a.play.toml", "--set", "x=1"), "no variable 'x'"),
        (("a.play.toml", "--ask-router"), "goes with --replay"),
        (("a.play.toml", "--replay", "a.play.toml"), "is no record of a play"),
        (("a.play.toml", "--replay", "b.json"), "does not exist"),
        (("broken.play.toml",), "line 3: turns.0.sya: no such field here"),
    ],
)
def test_what_is_broken_ends_with_two_and_one_line(
    run: Run, record: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    write_script(tmp_path, "[[turns]]\nsya = 'b'\n", "broken.play.toml")
    done = run("play", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_shipped_scripts_are_listed(run: Run) -> None:
    done = run("play", "--list")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        *["debate", "desk", "interview", "pipeline", "quay", "socratic"]
    ]
