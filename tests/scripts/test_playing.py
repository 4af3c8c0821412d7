"""Plays: who sits by which policy, what is said, what is spent, and what is told of it."""

import asyncio
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from consilium import Concluded, MemoryLedger, ScriptedEngine
from consilium.errors import BadScript, EngineLost, LedgerLocked
from consilium.ledger.sql import SqlLedger
from consilium.scripts.play import Play, PlayedTurn, Said
from consilium.scripts.script import Script
from tests.support.cards import card_json
from tests.support.scripts import SAID, open_for, play_text, seated, write_script

SAY = '[[turns]]\nsay = "a"\n'
BY_MATE = "[[turns]]\nplayed_by = 'mate'\nmembers = ['clerk']\n"
CHAIRED = ["clerk pilot clerk", "mate clerk clerk", "pilot mate clerk"]
CHAIN = ["clerk", "mate", "pilot", "mate", "pilot"]


def speakers(policy: str, more: str = "", turns: int = 5) -> str:
    return f"[speakers]\npolicy = '{policy}'\n{more}\n[[turns]]\nrepeat = {turns}\nsay = 'a'\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (speakers("router", turns=1), ["pilot mate"]),
        (speakers("router", "seats = 1", turns=1), ["pilot"]),
        (speakers("round-robin", turns=4), ["clerk", "pilot", "mate", "clerk"]),
        (speakers("round-robin", "seats = 2", turns=3), ["clerk pilot", "mate clerk", "pilot mate"]),
        (speakers("round-robin", "seats = 2", turns=3) + "method = 'chair'\n", CHAIRED),
        (speakers("round-robin", "may_follow = {clerk = ['mate'], mate = ['pilot']}"), CHAIN),
        ("[cast]\nmute = ['pilot']\n" + speakers("round-robin", turns=3), ["clerk", "mate", "clerk"]),
        ("[cast]\npinned = ['clerk']\n" + speakers("round-robin", turns=2), ["pilot clerk", "mate clerk"]),
        ("[cast]\ngroups = ['water']\n" + speakers("round-robin", turns=3), ["pilot", "mate", "pilot"]),
        ("[cast.roles]\nx = 'mate'\n" + speakers("order", "order = ['x', 'clerk']", turns=2), ["mate", "clerk"]),
        (speakers("talkativeness", "talkativeness = {pilot = 0, mate = 0}", turns=2), ["clerk", "clerk"]),
        (SAY + "members = ['mate', 'clerk']\n", ["mate clerk"]),
    ],
)  # fmt: skip
async def test_each_policy_seats_whom_it_should(harbour: Path, text: str, expected: list[str]) -> None:
    assert [" ".join(sat) for sat in seated(await play_text(harbour, text))] == expected


async def test_everyone_sits_once_before_anyone_sits_twice(harbour: Path) -> None:
    text = "[cast]\nmembers = ['pilot', 'mate', 'clerk']\n" + speakers("everyone-once", turns=6)
    script = Script.read(write_script(harbour.parent, text))
    async with open_for(script, harbour) as council:
        sat = [names[0] for names in seated(await script.play(council))]
    assert {*sat[:3]} == {*sat[3:]} == {"pilot", "mate", "clerk"}


async def test_the_router_chooses_among_the_cast_and_who_may_follow(harbour: Path) -> None:
    text = "[cast]\npinned = ['clerk']\n[speakers]\nmay_follow = {clerk = ['mate']}\n"
    script = Script.read(write_script(harbour.parent, text + SAY + "members = ['clerk']\n" + SAY))
    async with open_for(script, harbour) as council:
        play = await script.play(council)
    assert [set(sat) for sat in seated(play)] == [{"clerk"}, {"mate", "clerk"}]


async def test_draws_follow_talkativeness_and_the_seed(harbour: Path) -> None:
    def text(seed: int) -> str:
        return f"[limits]\nseed = {seed}\n" + speakers("talkativeness", "talkativeness = {pilot = 8}", turns=60)

    one, again, other = [seated(await play_text(harbour, text(seed))) for seed in (1, 1, 2)]
    assert one == again != other
    count = Counter(sat[0] for sat in one)
    assert count["pilot"] > 3 * count["mate"] > 0


async def test_texts_quote_rows_rounds_variables_and_verdicts(harbour: Path) -> None:
    text = """
    variables = {word = "{{verdict}}"}
    rows.r = [{n = 1}, {n = 2.5}]
    [[turns]]
    id = "first"
    members = ["clerk"]
    say = "{word} {other}"
    [[turns]]
    for_each = "r"
    members = ["pilot"]
    say = "{row.n} {round} {verdict} {verdicts.first}"
    """.replace("{other}", '{\\"a\\": 1}')
    play = await play_text(harbour, text)
    boats = SAID["clerk"]
    assert [played.said.message for played in play.turns] == [
        '{verdict} {"a": 1}',
        f"1 1 {boats} {boats}",
        f"2.5 2 two fathoms {boats}",
    ]


async def test_members_hear_the_conversation_until_a_fresh_one_begins(harbour: Path) -> None:
    engine = ScriptedEngine(SAID)
    text = "[[turns]]\nsay = 'one'\nmembers = ['mate']\n[[turns]]\nsay = 'two'\nmembers = ['mate']\n"
    await play_text(harbour, text + text.replace("say", "fresh = true\nsay", 1), engine=engine)
    heard = [[message.content for message in call.messages[1:]] for call in engine.calls]
    assert heard == [["one"], ["one", "Two fathoms.", "two"]] * 2


async def test_a_member_plays_the_user_in_a_conversation_of_its_own(harbour: Path) -> None:
    engine = ScriptedEngine({**SAID, "mate": lambda prompt: f"How {len(prompt.messages)}?"})
    play = await play_text(harbour, BY_MATE + "cue = 'Ask.'\n" + BY_MATE, engine=engine)
    assert [(said.message, said.played_by, said.tokens) for said in (p.said for p in play.turns)] == [
        ("How 2?", "mate", 2),
        ("How 4?", "mate", 2),
    ]
    assert engine.calls[2].messages[-1].content == SAID["clerk"]
    assert play.tokens == sum(played.turn.completion_tokens + 2 for played in play.turns)


async def test_a_card_beside_the_script_becomes_a_member_for_the_play(harbour: Path) -> None:
    (harbour.parent / "skipper.json").write_text(card_json())
    before = sorted(harbour.rglob("*"))
    replies = {**SAID, "skipper": lambda prompt: prompt.messages[0].content[:15]}
    text = "[cast]\ncards = ['skipper.json']\n[speakers]\npolicy = 'round-robin'\n" + SAY
    play = await play_text(harbour, text, replies=replies)
    assert seated(play) == [["skipper"]]
    assert play.turns[0].turn.verdict.text == "You are Skipper"
    assert sorted(harbour.rglob("*")) == before


@pytest.mark.parametrize(
    ("limit", "played", "why"),
    [
        ("tokens = 4", 2, "limits.tokens = 4 are spent (4)"),
        ("seconds = 0.2", 0, "limits.seconds = 0.2 passed"),
        ("deadline_s = 0.01", 0, "SeatDeadline"),
    ],
)
async def test_limits_stop_a_play_and_say_so(harbour: Path, limit: str, played: int, why: str) -> None:
    engine = ScriptedEngine(SAID, token_s=0.0 if "tokens" in limit else 0.2)
    play = await play_text(harbour, f"[limits]\n{limit}\n" + SAY * 3 + "[expect]\nsits = ['pilot']\n", engine=engine)
    assert len(play.turns) == played
    assert why in (play.stopped or "")
    assert not play.passed


async def test_longest_statements_are_the_scripts_or_the_turns(harbour: Path) -> None:
    engine = ScriptedEngine(SAID)
    await play_text(
        harbour, "[limits]\nmax_tokens = 7\nseed = 5\n" + SAY + SAY + "max_tokens = 3\nseats = 1\n", engine=engine
    )
    assert [(call.sampling.max_tokens, call.seed) for call in engine.calls] == [(7, 5), (7, 5), (3, 5)]


async def test_a_turn_that_fails_stops_the_play(harbour: Path) -> None:
    play = await play_text(harbour, SAY * 2, replies=dict.fromkeys(SAID, EngineLost("gone")))
    assert "turn 1: " in (play.stopped or "")
    assert "gone" in (play.stopped or "")


async def test_a_locked_ledger_is_not_taken_for_a_limit_that_passed(harbour: Path, tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    script = Script.read(write_script(harbour.parent, "[limits]\nseconds = 60\n" + SAY))
    ledger = SqlLedger(f"sqlite:///{file}", busy_timeout_s=0.05)
    async with open_for(script, harbour, ledger=ledger) as council:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerLocked, match=r"ledger\.db"):
            await script.play(council)
        other.close()
        assert (await script.play(council)).passed


async def test_events_come_in_order_and_outcomes_are_recorded(harbour: Path) -> None:
    ledger = MemoryLedger()
    text = SAY + "[turns.expect]\nsits = ['pilot', 'clerk']\n" + SAY
    script = Script.read(write_script(harbour.parent, text))
    async with open_for(script, harbour, ledger=ledger) as council:
        events = [event async for event in script.stream(council)]
        told = [type(event) for event in events if isinstance(event, Said | Concluded | PlayedTurn | Play)]
        assert told == [Said, Concluded, PlayedTurn, Said, Concluded, PlayedTurn, Play]
        play = await script.play(council)
    scores = [[(o.score, o.source) for o in log.outcomes] for log in await ledger.turns()]
    assert scores == [[(0.5, "script")], []] * 2
    assert [check.held for check in play.turns[0].checks] == [True, False]


async def test_a_listener_that_takes_its_time_is_not_interrupted(harbour: Path) -> None:
    script = Script.read(write_script(harbour.parent, "[limits]\nseconds = 0.3\n" + SAY))
    async with open_for(script, harbour) as council:
        async for event in script.stream(council):
            await asyncio.sleep(0.4 if isinstance(event, Said) else 0)
    assert "limits.seconds" in (event.stopped or "")


async def test_another_council_needs_the_scripts_seed(harbour: Path) -> None:
    plain = Script.read(write_script(harbour.parent, SAY))
    seeded = Script.read(write_script(harbour.parent, "[limits]\nseed = 9\n" + SAY, "b.play.toml"))
    async with open_for(plain, harbour) as council:
        with pytest.raises(BadScript, match=r"line 3: limits.seed: this council has seed=0"):
            await seeded.play(council)


async def test_a_council_without_the_scripts_character_is_refused(harbour: Path) -> None:
    (harbour.parent / "skipper.json").write_text(card_json())
    plain = Script.read(write_script(harbour.parent, SAY))
    with_card = Script.read(write_script(harbour.parent, "[cast]\ncards = ['skipper.json']\n" + SAY, "b.play.toml"))
    async with open_for(plain, harbour) as council:
        with pytest.raises(BadScript, match=r"line 3: cast.cards: this council has no 'skipper'"):
            await with_card.play(council)


def test_a_play_can_be_had_without_an_event_loop(harbour: Path) -> None:
    script = Script.read(write_script(harbour.parent, SAY))
    council = open_for(script, harbour)
    assert script.play_sync(council).passed
    council.close_sync()
