"""An engine that remembers promises what every engine does, and pays for nothing twice."""

import asyncio
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consilium import ScriptedEngine
from consilium.engines.protocol import Continuation, Engine, Message, Prompt
from consilium.engines.scripted import Reply
from consilium.errors import BadRows, EngineError, EngineLost, JobError
from consilium.evaluation.kept import Kept
from consilium.evaluation.remembering import RememberingEngine
from consilium.testing.engine import EngineConformance, speak

NUMBERS = " ".join(f"number{n}" for n in range(60))


def prompt(member: str = "pilot", said: str = "x", seed: int = 0) -> Prompt:
    return Prompt(member=member, messages=(Message(role="user", content=said),), seed=seed)


def remembering(
    folder: Path, reply: Reply = "aye aye", *, budget: int | None = None, weights: str = "pilot@1"
) -> tuple[ScriptedEngine, RememberingEngine]:
    inner = ScriptedEngine({"pilot": reply, "mate": reply})
    kept = Kept(folder / "kept.jsonl")
    return inner, RememberingEngine(inner, kept, {"pilot": weights, "mate": "mate@1"}, token_budget=budget)


class TestRemembering(EngineConformance):
    members = ("pilot", "mate")

    @pytest.fixture
    async def engine(self, tmp_path: Path) -> AsyncIterator[Engine]:  # type: ignore[override]
        inner = ScriptedEngine({"pilot": NUMBERS, "mate": NUMBERS}, token_s=0.01)
        async with RememberingEngine(inner, Kept(tmp_path / "kept.jsonl"), {}) as engine:
            yield engine


async def test_what_was_said_is_told_again_at_its_price(tmp_path: Path) -> None:
    inner, engine = remembering(tmp_path)
    async with engine:
        first = await speak(engine, prompt())
        assert await speak(engine, prompt()) == first
        await asyncio.gather(*(speak(engine, prompt(said="y")) for _ in range(5)))
    assert len(inner.calls) == 2
    inner, engine = remembering(tmp_path)
    assert (engine.paid.statements, engine.paid.tokens) == (2, 2 * first.prompt_tokens + 2 * first.completion_tokens)
    async with engine:
        assert await speak(engine, prompt()) == first
    assert inner.calls == []


async def test_other_weights_words_members_or_seeds_are_other_statements(tmp_path: Path) -> None:
    inner, engine = remembering(tmp_path)
    async with engine:
        for asked in (prompt(), prompt("mate"), prompt(said="y"), prompt(seed=1)):
            await speak(engine, asked)
    assert len(inner.calls) == 4
    inner, engine = remembering(tmp_path, weights="pilot@2")
    async with engine:
        await speak(engine, prompt())
    assert len(inner.calls) == 1


async def test_likelihoods_are_kept_too(tmp_path: Path) -> None:
    asked = [Continuation(member="pilot", messages=prompt().messages, text=text) for text in ("aye", "nay")]
    _, engine = remembering(tmp_path)
    async with engine:
        first = await engine.likelihood(asked)
        assert (await engine.likelihood(asked[::-1]))[::-1] == first
    _, engine = remembering(tmp_path)
    assert await engine.likelihood(asked) == first  # though the engine behind it is not open


async def test_errors_are_not_kept(tmp_path: Path) -> None:
    _, engine = remembering(tmp_path, EngineError("out of words"))
    async with engine:
        with pytest.raises(EngineError):
            await speak(engine, prompt())
        assert not engine.knows(prompt())
        assert engine.lost is None


async def test_a_budget_ends_what_is_new_and_not_what_is_known(tmp_path: Path) -> None:
    _, engine = remembering(tmp_path, budget=3)
    async with engine:
        first = await speak(engine, prompt())
        with pytest.raises(EngineLost, match="the budget of 3 tokens is spent"):
            await speak(engine, prompt(said="y"))
        assert engine.is_spent
        assert await speak(engine, prompt()) == first


def test_a_torn_line_is_cut_off_and_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "kept.jsonl"
    Kept(file).keep("a", 1)
    with file.open("a") as torn:
        torn.write('["b", {"text": "half')
    kept = Kept(file)
    assert list(kept) == ["a"]
    kept.keep("c", "é")
    assert Kept(file)["c"] == "é"
    file.write_text("mine\n")
    with pytest.raises(BadRows, match="holds no answers"):
        Kept(file)


def test_a_full_disk_is_told_and_leaves_whole_lines(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept.jsonl")
    kept.keep("a", 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        with pytest.raises(JobError, match="takes no more"):
            kept.keep("b", "x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "kept.jsonl").read_text() == '["a", 1]\n'


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "gone" / "kept.jsonl")
    with pytest.raises(JobError, match=r"kept\.jsonl takes no more: No such file"):
        kept.keep("a", 1)
    assert "a" not in kept
