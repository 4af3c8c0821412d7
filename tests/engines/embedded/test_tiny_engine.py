"""The whole engine on a tiny base: the seam's promises, and what a row that is given up leaves to the others."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from consilium.engines.embedded import batch, worker
from consilium.engines.embedded.engine import EmbeddedEngine
from consilium.engines.protocol import Continuation, Message, Prompt
from consilium.errors import BadMessage, BadSettings, BaseUnavailable, SeatDeadline
from consilium.members.base import Base
from consilium.members.persona import SamplingDefaults
from consilium.testing.engine import EngineConformance, speak
from tests.support.tiny import tiny_catalogue, tiny_crew, write_tiny_base

LONG = 1_500
"""Tokens that even a tiny model does not speak within a deadline or a pause of these tests."""


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A tiny base with one end token, which no member of these tests comes to by itself."""
    return write_tiny_base(tmp_path_factory.mktemp("bases") / "steady")


@pytest.fixture
async def engine(steady: Base) -> AsyncIterator[EmbeddedEngine]:
    async with EmbeddedEngine(steady, tiny_catalogue(steady, tiny_crew(steady))) as engine:
        await engine.ensure_ready(["pilot"])
        yield engine


class TestTinyEngine(EngineConformance):
    members = ("pilot", "mate")

    @pytest.fixture
    def engine(self, engine: EmbeddedEngine) -> EmbeddedEngine:
        return engine

    def prompt(self, member: str | None = None, *, deadline_s: float | None = None, **sampling: object) -> Prompt:
        return super().prompt(member, deadline_s=deadline_s, **{"max_tokens": LONG, **sampling})


def ask(member: str, *, tokens: int = 5, deadline_s: float | None = None) -> Prompt:
    messages = (Message(role="user", content=f"w7 w8 w9 {member}"),)
    sampling = SamplingDefaults(min_tokens=tokens, max_tokens=tokens)
    return Prompt(member=member, messages=messages, sampling=sampling, deadline_s=deadline_s)


async def test_a_deadline_frees_the_place(engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MAX_ROWS", 1)
    late = asyncio.create_task(speak(engine, ask("pilot", tokens=LONG, deadline_s=0.1)))
    await asyncio.sleep(0.02)
    waits = asyncio.create_task(speak(engine, ask("mate")))
    with pytest.raises(SeatDeadline, match="pilot"):
        await late
    freed = time.monotonic()
    assert (await waits).completion_tokens == 5
    assert time.monotonic() - freed < 1.0


async def test_a_cancelled_call_frees_the_place(engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MAX_ROWS", 1)
    doomed = asyncio.create_task(speak(engine, ask("pilot", tokens=LONG)))
    await asyncio.sleep(0.02)
    waits = asyncio.create_task(speak(engine, ask("mate")))
    await asyncio.sleep(0.02)
    doomed.cancel()
    assert (await asyncio.wait_for(waits, 1.0)).completion_tokens == 5


async def test_a_listener_that_leaves_early_frees_the_place(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MAX_ROWS", 1)
    pieces = engine.generate(ask("pilot", tokens=LONG))
    await anext(pieces)
    await pieces.aclose()  # type: ignore[attr-defined]
    assert (await asyncio.wait_for(speak(engine, ask("mate")), 1.0)).completion_tokens == 5


async def test_likelihoods_and_statements_share_the_model(engine: EmbeddedEngine) -> None:
    alone = await speak(engine, ask("mate", tokens=60))
    asked = [
        Continuation(member=name, messages=ask(name).messages, text=f"w{word} w8")
        for name in ("pilot", "cook", "clerk") for word in range(20, 40)
    ]  # fmt: skip
    together, found = await asyncio.gather(speak(engine, ask("mate", tokens=60)), engine.likelihood(asked))
    assert together.text == alone.text
    assert len(found) == len(asked)
    assert len({likelihood.log_probability for likelihood in found}) == len(asked)


async def test_a_prompt_without_messages_is_refused(engine: EmbeddedEngine) -> None:
    with pytest.raises(BadMessage, match="at least one message"):
        await speak(engine, Prompt(member="pilot", messages=()))


async def test_more_likelihoods_may_be_asked_for_than_the_queue_holds(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MAX_IN_HAND", 2)
    messages = (Message(role="user", content="w7 w8"),)
    asked = [Continuation(member="pilot", messages=messages, text=f"w{n % 9}") for n in range(80)]
    found = await engine.likelihood(asked)
    assert len(found) == 80
    assert found[0].log_probability == pytest.approx(found[9].log_probability, abs=1e-4)


async def test_a_base_without_an_end_is_refused(tmp_path: Path) -> None:
    base = write_tiny_base(tmp_path / "endless")
    file = base.path / "generation_config.json"
    settings = {name: value for name, value in json.loads(file.read_text()).items() if name != "eos_token_id"}
    file.write_text(json.dumps(settings))
    config = base.path / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "eos_token_id": None}))
    async with EmbeddedEngine(base, tiny_catalogue(base, tiny_crew(base))) as endless:
        with pytest.raises(BaseUnavailable, match="eos_token_id"):
            await endless.ensure_ready(["pilot"])


async def test_a_schema_is_refused(engine: EmbeddedEngine) -> None:
    with pytest.raises(BadSettings, match="vllm"):
        await speak(engine, replace(ask("pilot"), schema={"type": "object"}))


async def test_what_was_needed_of_each_tier_is_counted(engine: EmbeddedEngine) -> None:
    for name in ("pilot", "pilot", "mate"):
        await speak(engine, ask(name))
    memory, slots = engine.describe().tiers
    assert (memory.tier, memory.loads, memory.ahead, memory.hits) == ("memory", 2, 1, 2)
    assert (slots.tier, slots.loads, slots.hits) == ("engine", 2, 1)
    assert min(memory.load_ms, slots.load_ms) > 0
