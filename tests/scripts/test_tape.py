"""Records of plays: the same bytes each time, and a replay that needs no model and notices what changed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from consilium.errors import BadScript, SeatDeadline
from consilium.scripts.play import Play
from consilium.scripts.script import Script
from consilium.scripts.tape import Tape
from tests.support.personas import write_persona
from tests.support.scripts import SAID, open_for, write_script

TEXT = """
[cast]
members = ["pilot", "mate", "clerk"]
[speakers]
policy = "everyone-once"
[[turns]]
say = "one"
expect = {judged = [{question = "Good?", at_least = 0.1}]}
[[turns]]
say = "{verdict}"
[[turns]]
played_by = "mate"
method = "chair"
members = ["pilot", "mate"]
"""


async def recorded(harbour: Path, text: str = TEXT, name: str = "a.replay.json", **replies: object) -> Path:
    script = Script.read(write_script(harbour.parent, text))
    tape = Tape()
    async with tape.recording(open_for(script, harbour, replies={**SAID, **replies})) as council:
        tape.write(harbour.parent / name, await script.play(council))
    return harbour.parent / name


async def replayed(harbour: Path, record: Path, text: str = TEXT, again: Path | None = None) -> Play:
    script = Script.read(write_script(harbour.parent, text))
    tape = Tape.read(record)
    async with tape.open(script, personas=harbour) as council:
        play = await script.play(council)
    if again:
        tape.write(again, play)
    return replace(play, differences=tape.differences(play))


async def test_a_play_is_recorded_and_replayed_to_the_byte(harbour: Path) -> None:
    first, second = await recorded(harbour), await recorded(harbour, name="b.replay.json")
    assert first.read_bytes() == second.read_bytes()
    third = harbour.parent / "c.replay.json"
    play = await replayed(harbour, first, again=third)
    assert play.passed
    assert len(play.turns) == 3
    assert third.read_bytes() == first.read_bytes()


async def test_errors_of_seats_are_replayed_too(harbour: Path) -> None:
    text = TEXT.replace('"everyone-once"', '"everyone-once"\nseats = 2')
    record = await recorded(harbour, text, pilot=SeatDeadline("too late"))
    play = await replayed(harbour, record, text)
    assert play.passed
    errors = [seat.statement.error for turn in play.turns for seat in turn.turn.seats]
    assert "SeatDeadline" in errors


def other_prompt(harbour: Path) -> None:
    write_persona(harbour, "mate", "water", with_adapter=True, system_prompt="You are someone else.")


def other_weights(harbour: Path) -> None:
    write_persona(harbour, "mate", "water")


@pytest.mark.parametrize(
    ("old", "new", "change", "where"),
    [
        ('say = "one"', 'say = "two"', None, "turns[0]: recorded {"),
        ('"everyone-once"', '"round-robin"', None, "turns[0]: recorded {"),
        ('say = "{verdict}"', 'say = "{verdict}"\nmembers = ["clerk"]', None, "turns[1]: recorded {"),
        ('method = "chair"', 'method = "vote"', None, "turns[2].verdict.method: recorded 'chair', now 'vote'"),
        ("at_least = 0.1", "at_least = 0.9", None, "turns[0].checks[0].held: recorded True, now False"),
        ("", "", other_prompt, "turns[1]"),
        ("", "", other_weights, "turns[1].seats[0].member: recorded 'mate@"),
    ],
)
async def test_a_replay_fails_where_anything_was_decided_otherwise(
    harbour: Path, old: str, new: str, change: Callable[[Path], None] | None, where: str
) -> None:
    record = await recorded(harbour)
    if change:
        change(harbour)
    play = await replayed(harbour, record, TEXT.replace(old, new))
    assert not play.passed
    assert any(difference.startswith(where) for difference in play.differences), play.differences
    assert play.differences[0].startswith(where.partition(".")[0])


async def test_the_last_bits_of_weights_make_no_difference(harbour: Path) -> None:
    record = await recorded(harbour)
    held = json.loads(record.read_text())
    held["play"]["turns"][0]["seats"][0]["weight"] += 1e-9
    record.write_text(json.dumps(held))
    assert (await replayed(harbour, record)).passed
    held["play"]["turns"][0]["seats"][0]["weight"] -= 1e-3
    record.write_text(json.dumps(held))
    assert "turns[0].seats[0].weight" in (await replayed(harbour, record)).differences[0]


async def test_a_play_that_stopped_is_not_recorded(harbour: Path) -> None:
    with pytest.raises(BadScript, match="is not recorded"):
        await recorded(harbour, "[limits]\ntokens = 1\n" + TEXT)
    assert not (harbour.parent / "a.replay.json").exists()


@pytest.mark.parametrize(
    "content", ["", "{", "{}x", '{"schema_version": 2}', '{"unknown": 1}', '{"counts": {"a": "b"}}']
)
def test_what_is_no_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(BadScript, match=r"a\.json is no record of a play"):
        Tape.read(tmp_path / "a.json")
    with pytest.raises(BadScript, match="does not exist"):
        Tape.read(tmp_path / "b.json")


async def test_a_record_that_cannot_be_written_is_named(harbour: Path) -> None:
    with pytest.raises(BadScript, match="cannot be written"):
        await recorded(harbour, name="nowhere/a.json")
