"""Of several drafts the one is said that its member finds likeliest."""

import asyncio
from collections.abc import Mapping

import pytest

from consilium.engines.drafts import each_asked
from consilium.engines.protocol import Continuation, Delta, Message, Prompt, Spoken
from consilium.engines.scripted import Reply, ScriptedEngine
from consilium.errors import EngineLost, SeatDeadline
from consilium.members.persona import SamplingDefaults
from consilium.testing.engine import speak

MEANT = "the river rises in the hills"
"""What the member has in mind: the scripted engine finds texts of these words likely."""
DRAFTS = ("a river rose from hills", "the river rises", "the river rises near hills", "no")


def ask(
    *,
    drafts: int = 4,
    temperature: float = 1.0,
    length_penalty: float = 1.0,
    seed: int = 7,
    deadline_s: float | None = None,
) -> Prompt:
    sampling = SamplingDefaults(drafts=drafts, temperature=temperature, length_penalty=length_penalty)
    message = Message(role="user", content="Where does it rise?")
    return Prompt(member="guide", messages=(message,), sampling=sampling, seed=seed, deadline_s=deadline_s)


def drawing(*texts: str | EngineLost) -> Mapping[str, Reply]:
    """Return a member who draws these, one after the other, whatever it has in mind."""
    by_seed = {each.seed: text for each, text in zip(each_asked(ask(drafts=len(texts))), texts, strict=True)}

    return {"guide": lambda prompt: by_seed.get(prompt.seed, MEANT)}


async def test_the_likeliest_draft_is_said_in_one_piece() -> None:
    async with ScriptedEngine(drawing(*DRAFTS)) as engine:
        *deltas, spoken = [piece async for piece in engine.generate(ask())]
        asked = [Continuation(member="guide", messages=ask().messages, text=text) for text in DRAFTS]
        nats = [found.log_probability / found.tokens for found in await engine.likelihood(asked)]
    assert deltas == [Delta(text="the river rises")]
    assert isinstance(spoken, Spoken)
    assert spoken.text == DRAFTS[nats.index(max(nats))] == "the river rises"
    assert spoken.completion_tokens == sum(len(draft.split()) for draft in DRAFTS)
    assert spoken.prompt_tokens == 4
    assert 0 < spoken.first_token_ms == spoken.latency_ms


async def test_length_alone_decides_nothing() -> None:
    long = " ".join([MEANT] * 5)
    async with ScriptedEngine(drawing("the slope", long)) as engine:
        assert (await speak(engine, ask(drafts=2))).text == long


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 4.0])
async def test_a_length_penalty_is_the_power_of_the_length_that_likelihoods_are_divided_by(
    length_penalty: float,
) -> None:
    drafts = ("the river", "the river rises in some hills")
    async with ScriptedEngine(drawing(*drafts)) as engine:
        said = (await speak(engine, ask(drafts=2, length_penalty=length_penalty))).text
        asked = [Continuation(member="guide", messages=ask().messages, text=text) for text in drafts]
        worth = [found.log_probability / found.tokens**length_penalty for found in await engine.likelihood(asked)]
        assert {prompt.sampling.length_penalty for prompt in engine.calls} == {1.0}
    assert said == drafts[worth.index(max(worth))]
    assert said == drafts[length_penalty > 1]


async def test_each_draft_has_a_seed_of_its_own_and_the_first_the_callers() -> None:
    async with ScriptedEngine({"guide": MEANT}) as engine:
        await speak(engine, ask())
        await speak(engine, ask(seed=8))
        seeds = [prompt.seed for prompt in engine.calls]
        assert {prompt.sampling.drafts for prompt in engine.calls} == {1}
    assert (seeds[0], seeds[4]) == (7, 8)
    assert len(set(seeds)) == 8
    assert all(0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize("prompt", [ask(temperature=0.0), ask(drafts=1)])
async def test_where_there_would_be_but_one_it_is_told_as_it_comes(prompt: Prompt) -> None:
    async with ScriptedEngine({"guide": MEANT}) as engine:
        pieces = [piece async for piece in engine.generate(prompt)]
        assert len(engine.calls) == 1
    assert [piece.text for piece in pieces] == ["the", " river", " rises", " in", " the", " hills", MEANT]


async def test_a_statement_that_is_empty_has_no_piece() -> None:
    async with ScriptedEngine({"guide": ""}) as engine:
        (spoken,) = [piece async for piece in engine.generate(ask())]
    assert spoken.text == ""


async def test_a_deadline_is_that_of_all_drafts_together() -> None:
    async with ScriptedEngine({"guide": "one two three four five"}, token_s=0.01) as engine:  # 50 ms a draft
        assert (await speak(engine, ask(deadline_s=5.0))).completion_tokens == 20
        with pytest.raises(SeatDeadline, match=r"4 drafts within deadline_s=0\.075"):
            await speak(engine, ask(deadline_s=0.075))
        with pytest.raises(SeatDeadline, match=r"deadline_s=0\.02"):
            await speak(engine, ask(deadline_s=0.02))


async def test_where_a_draft_fails_so_does_the_statement_and_the_others_end() -> None:
    lost = EngineLost("the line went dead.")
    async with ScriptedEngine(drawing("one", "one two three", lost), token_s=0.01) as engine:
        with pytest.raises(EngineLost, match="went dead"):
            await speak(engine, ask(drafts=3))
        assert len(asyncio.all_tasks()) == 1


async def test_leaving_early_ends_the_drafts() -> None:
    async with ScriptedEngine({"guide": "one two three"}, token_s=0.01) as engine:
        speaking = asyncio.create_task(speak(engine, ask()))
        await asyncio.sleep(0.04)
        speaking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await speaking
        assert len(asyncio.all_tasks()) == 1
