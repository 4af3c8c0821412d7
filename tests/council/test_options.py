"""What a caller may ask of a turn, and what its members hear of it."""

from pathlib import Path

import pytest

from consilium import ScriptedEngine
from consilium.council.options import AskOptions, addressed
from consilium.engines.protocol import Message
from consilium.errors import UnknownMember
from consilium.ledger.protocol import Ledger
from consilium.members.catalogue import Catalogue
from tests.council.conftest import SAID, Open

ASKED = AskOptions(
    max_tokens=5,
    temperature=0.7,
    top_p=0.9,
    stop=("\n", "END"),
    seed=7,
    instructions="Use metres.",
    history=[Message(role="user", content="Where are we?"), Message(role="assistant", content="Off the point.")],
)


async def test_members_hear_what_was_asked_and_hear_it_again_when_the_turn_is_resumed(
    open_council: Open, ledger: Ledger
) -> None:
    engine = ScriptedEngine(SAID)
    async with open_council(engine=engine) as council:
        turn = await council.ask("How deep is it?", members=("pilot",), **ASKED)
        log = await ledger.load(turn.id)
        await ledger.admit(session_id="s", turn_id="again", message=turn.message, options=log.turn.options)
        await council.resume("again")
    prompt, again = engine.calls
    assert [(message.role, message.content) for message in prompt.messages] == [
        ("system", "You are the pilot. Answer in one line.\n\nUse metres."),
        ("user", "Where are we?"),
        ("assistant", "Off the point."),
        ("user", "How deep is it?"),
    ]
    sampling = prompt.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p) == (5, 0.7, 0.9)
    assert (sampling.stop, sampling.repetition_penalty, prompt.seed) == (("\n", "END"), 1.0, 7)
    assert (again.messages, again.sampling, again.seed) == (prompt.messages, sampling, 7)


async def test_a_chair_is_told_the_instructions_too(open_council: Open) -> None:
    engine = ScriptedEngine(SAID)
    async with open_council(engine=engine) as council:
        await council.ask("How deep is it?", method="chair", instructions="Use metres.", temperature=0.5)
    assert [call.member for call in engine.calls][2:] == ["clerk"]
    assert all(call.messages[0].content.endswith("\n\nUse metres.") for call in engine.calls)
    assert {call.sampling.temperature for call in engine.calls} == {0.5}


def test_a_model_name_stands_for_options(harbour: Path) -> None:
    catalogue = Catalogue.load(harbour)
    assert addressed("council", catalogue) == addressed("consilium/default", catalogue) == {}
    assert addressed("router", catalogue) == {"seats": 1, "min_seats": 1}
    assert addressed("consilium/pilot", catalogue) == {"members": ("pilot",)}
    with pytest.raises(UnknownMember, match=r"model='consilium/pilto': .*'pilot'.*'council' or 'router'"):
        addressed("consilium/pilto", catalogue)
