"""The scripted engine keeps the seam's promises, and says what it was told to say."""

from collections.abc import AsyncIterator

import pytest

from consilium.engines.protocol import Message, Prompt
from consilium.engines.scripted import ScriptedEngine
from consilium.errors import EngineLost
from consilium.testing.engine import EngineConformance, speak

COUNTING = " ".join(f"number-{number}" for number in range(100))


class TestScriptedEngine(EngineConformance):
    members = ("pilot", "mate")

    @pytest.fixture
    async def engine(self) -> AsyncIterator[ScriptedEngine]:
        async with ScriptedEngine({"pilot": COUNTING, "mate": COUNTING}, token_s=0.005) as engine:
            yield engine


def ask(member: str, text: str = "hello") -> Prompt:
    return Prompt(member=member, messages=(Message(role="user", content=text),))


async def test_a_function_answers_from_the_prompt() -> None:
    async with ScriptedEngine({"echo": lambda prompt: prompt.messages[-1].content.upper()}) as engine:
        assert (await speak(engine, ask("echo", "ship ahoy"))).text == "SHIP AHOY"
        assert [prompt.member for prompt in engine.calls] == ["echo"]


async def test_an_error_is_raised() -> None:
    async with ScriptedEngine({"lost": EngineLost("the line went dead.")}) as engine:
        with pytest.raises(EngineLost, match="went dead"):
            await speak(engine, ask("lost"))
