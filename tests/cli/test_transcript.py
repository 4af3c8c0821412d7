"""A turn as people read it."""

import io
from pathlib import Path

from rich.console import Console

from consilium import Council, ScriptedEngine
from consilium.cli.transcript import Transcript, headed
from consilium.errors import EngineLost
from consilium.ledger.memory import MemoryLedger
from consilium.members.catalogue import Catalogue
from tests.support.council import FirstSeats


async def shown(harbour: Path, *, terminal: bool, **replies: object) -> str:
    engine = ScriptedEngine({"pilot": "aye\x1b[2J [bold]", "mate": "no", "clerk": "perhaps", **replies})  # type: ignore[dict-item]
    router = FirstSeats(Catalogue.load(harbour))
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=100)
    async with Council.open(engine=engine, router=router, ledger=MemoryLedger(), personas=harbour) as council:
        with Transcript(console) as transcript:
            async for event in council.stream("How deep is it?", method="chair"):
                transcript.show(event)
    return written.getvalue()


async def test_a_transcript_says_who_sat_why_and_what_came_of_it(harbour: Path) -> None:
    text = await shown(harbour, terminal=False)
    for part in (
        "pilot 0.67",
        "first router",
        "clerk 0.00",
        "aye [bold]",
        "clerk (chair)",
        "verdict",
        "chair, words of",
    ):
        assert part in text
    assert "\x1b" not in text


async def test_a_terminal_shows_statements_while_they_are_made(harbour: Path) -> None:
    text = await shown(harbour, terminal=True)
    assert "perhaps" in text
    assert "\x1b[2J [bold]" not in text


async def test_nothing_of_a_long_statement_is_cut_off(harbour: Path) -> None:
    long = " ".join(f"word{number}" for number in range(60))
    text = await shown(harbour, terminal=False, pilot=long)
    panels = text[: text.index("verdict")]
    assert all(f"word{number}" in panels for number in range(60))


def test_a_message_above_its_turn_is_no_markup() -> None:
    written = io.StringIO()
    Console(file=written, width=60).print(headed("what closes\x1b[2J [/INST] and [bold]?"))
    assert "what closes [/INST] and [bold]?" in written.getvalue()


async def test_an_error_takes_the_place_of_a_statement(harbour: Path) -> None:
    text = await shown(harbour, terminal=False, pilot=EngineLost("the line went dead."))
    assert "EngineLost" in text
    assert "the line went dead." in text
