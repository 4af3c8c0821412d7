"""Plays leave nothing behind: a long script is played again and again by the same council."""

import gc
import tracemalloc
from pathlib import Path

import pytest

from consilium import ScriptedEngine
from consilium.scripts.script import Script
from tests.support.scripts import SAID, Obedient, write_script

TURNS = 60
PLAYS = 17
TEXT = f"""
[speakers]
policy = "everyone-once"
[[turns]]
say = "How deep is it?"
[[turns]]
repeat = {TURNS - 2}
say = "{{verdict}} {{round}}"
expect = {{matches = "fathoms|boats", tokens_at_most = 9, agreement_at_least = 1.0}}
[[turns]]
played_by = "mate"
[expect]
sits = ["pilot", "mate", "clerk"]
"""


@pytest.mark.slow
async def test_a_sixty_turn_script_adds_no_more_than_a_megabyte_per_thousand_turns(harbour: Path) -> None:
    script = Script.read(write_script(harbour.parent, TEXT))
    engine = ScriptedEngine(SAID)
    database = f"sqlite:///{harbour.parent / 'ledger.db'}"
    council = script.open(
        engine=engine, router=Obedient(script.catalogue(harbour)), personas=harbour, database=database
    )

    async def play() -> int:
        played = await script.play(council)
        assert played.passed
        engine.calls.clear()  # the double remembers every prompt
        return len(played.turns)

    async with council:
        for _ in range(3):
            await play()
        tracemalloc.start()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        turns = sum([await play() for _ in range(PLAYS)])
        gc.collect()
        after, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    grown = (after - before) / turns * 1_000 / 1e6
    print(f"{turns} turns: {grown:.3f} MB per 1,000 turns, {(peak - before) / 1e6:.2f} MB at most in a play")
    assert turns > 1_000
    assert grown <= 1
