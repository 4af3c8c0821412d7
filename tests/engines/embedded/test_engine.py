"""The embedded engine keeps the seam's promises on the real base, with adapters mixed in one batch."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consilium.engines.embedded.engine import EmbeddedEngine
from consilium.engines.protocol import Continuation, Message, Prompt
from consilium.errors import AdapterRefused, EngineLost
from consilium.members.catalogue import Catalogue
from consilium.members.persona import SamplingDefaults
from consilium.testing.engine import EngineConformance, speak
from tests.support.council import fitting_weights, real_base, write_crew, write_fitting_member

pytestmark = pytest.mark.model

MESSAGES = (Message(role="system", content="You are brief."), Message(role="user", content="What is a harbour?"))
TEXT = "A harbour is a sheltered place where ships lie."


@pytest.fixture
def crew(tmp_path: Path) -> Catalogue:
    return write_crew(tmp_path / "personas", real_base().name)


class TestEmbeddedEngine(EngineConformance):
    members = ("clerk", "pilot")

    @pytest.fixture
    async def engine(self, crew: Catalogue) -> AsyncIterator[EmbeddedEngine]:
        async with EmbeddedEngine(real_base(), crew) as engine:
            await engine.ensure_ready(list(crew.members))
            yield engine


async def test_a_mixed_batch_is_as_good_as_each_alone(crew: Catalogue) -> None:
    asked = [Continuation(member=name, messages=MESSAGES, text=TEXT) for name in ("pilot", "clerk", "mate", "pilot")]
    async with EmbeddedEngine(real_base(), crew) as engine:
        mixed = [found.log_probability for found in await engine.likelihood(asked)]
        alone = [(await engine.likelihood([one]))[0].log_probability for one in asked]
    assert mixed == pytest.approx(alone, abs=1e-3)
    assert mixed[0] == pytest.approx(mixed[3], abs=1e-3)
    assert len({round(value, 1) for value in mixed}) == 3, "base and two adapters are three different speakers"


async def test_the_bare_base_is_untouched_by_adapters(crew: Catalogue, tmp_path: Path) -> None:
    asked = [Continuation(member="clerk", messages=MESSAGES, text=TEXT)]
    async with EmbeddedEngine(real_base(), crew) as engine:
        (before,) = await engine.likelihood(asked)
        await engine.ensure_ready(["pilot", "mate"])
        (after,) = await engine.likelihood(asked)
    assert after.log_probability == pytest.approx(before.log_probability, abs=1e-3)


async def test_concurrent_statements_are_those_of_their_members(crew: Catalogue) -> None:
    def prompt(name: str) -> Prompt:
        return Prompt(member=name, messages=MESSAGES, sampling=SamplingDefaults(max_tokens=3))

    async with EmbeddedEngine(real_base(), crew) as engine:
        together = await asyncio.gather(*(speak(engine, prompt(name)) for name in crew.members))
        said = {name: spoken.text for name, spoken in zip(crew.members, together, strict=True)}
        for name in crew.members:
            found = await engine.likelihood(
                [Continuation(member=other, messages=MESSAGES, text=said[name]) for other in crew.members]
            )
            best = max(zip(found, crew.members, strict=True), key=lambda pair: pair[0].log_probability)
            ties = [n for n in crew.members if said[n] == said[name]]
            assert best[1] in ties, f"what {name} said greedily should be likeliest for {name}"


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        ({"base": "another-base@000000000000"}, "trained on base 'another-base@000000000000'"),
        ({"spoil": float("nan")}, "not finite"),
        ({"spoil": float("inf")}, "not finite"),
    ],
)
async def test_unusable_adapters_are_refused_and_the_engine_goes_on(
    tmp_path: Path, spoiled: dict[str, object], reason: str
) -> None:
    base, root = real_base(), tmp_path / "personas"
    write_crew(root, base.name)
    weights = fitting_weights(3, spoil=spoiled.get("spoil"))  # type: ignore[arg-type]
    write_fitting_member(root, "mate", str(spoiled.get("base", base.name)), weights)
    async with EmbeddedEngine(base, Catalogue.load(root)) as engine:
        with pytest.raises(AdapterRefused, match=reason):
            await engine.ensure_ready(["mate"])
        with pytest.raises(AdapterRefused, match=reason):
            await speak(engine, Prompt(member="mate", messages=MESSAGES))
        await engine.ensure_ready(["pilot"])
        sampling = SamplingDefaults(max_tokens=2)
        assert (await speak(engine, Prompt(member="pilot", messages=MESSAGES, sampling=sampling))).text


async def test_an_engine_that_is_not_entered_says_so(crew: Catalogue) -> None:
    with pytest.raises(EngineLost, match="async with"):
        await speak(EmbeddedEngine(real_base(), crew), Prompt(member="clerk", messages=MESSAGES))


async def test_nobody_ends_before_its_least_tokens(crew: Catalogue) -> None:
    async with EmbeddedEngine(real_base(), crew) as engine:
        brief = (Message(role="user", content="What is the capital of France?"),)
        free = Prompt(member="clerk", messages=brief, sampling=SamplingDefaults(max_tokens=24))
        held = Prompt(member="clerk", messages=brief, sampling=SamplingDefaults(min_tokens=24, max_tokens=24))
        spoken = await asyncio.gather(speak(engine, free), speak(engine, held))
    assert spoken[0].completion_tokens < 24
    assert (spoken[1].completion_tokens, spoken[1].finish) == (24, "length")
    assert spoken[1].text.startswith(spoken[0].text)
