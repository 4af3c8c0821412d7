"""What every `consilium.engines.protocol.Engine` promises."""

import asyncio
import time

import pytest

from consilium.engines.protocol import Continuation, Delta, Engine, Message, Prompt, Spoken
from consilium.errors import BadMessage, EngineLost, SeatDeadline, UnknownMember
from consilium.members.persona import SamplingDefaults

LONG = 40
"""Tokens of a statement that is long enough to be interrupted."""


class EngineConformance:
    """Subclass it, override the fixture `engine`, and name two members that it serves.

    The members must be able to speak at least `LONG` tokens when asked to count, and a token must take less than 2 s.
    """

    members: tuple[str, str]

    @pytest.fixture
    def engine(self) -> Engine:
        """Return a running engine; as a rule an asynchronous fixture that yields from ``async with``."""
        raise NotImplementedError("override the fixture `engine`")

    def prompt(self, member: str | None = None, *, deadline_s: float | None = None, **sampling: object) -> Prompt:
        """Return a request to count, of `LONG` tokens at most unless said otherwise."""
        settings = SamplingDefaults.model_validate({"max_tokens": LONG, **sampling})
        messages = (
            Message(role="system", content="You count."),
            Message(role="user", content="Write the numbers from one to one hundred as words, all of them."),
        )
        return Prompt(member=member or self.members[0], messages=messages, sampling=settings, deadline_s=deadline_s)

    async def test_deltas_make_up_the_statement(self, engine: Engine) -> None:
        pieces = [piece async for piece in engine.generate(self.prompt(max_tokens=12))]
        spoken = pieces[-1]
        assert isinstance(spoken, Spoken)
        deltas = [piece.text for piece in pieces[:-1] if isinstance(piece, Delta)]
        assert len(deltas) == len(pieces) - 1
        assert "".join(deltas) == spoken.text != ""

    async def test_a_statement_ends_at_its_bound(self, engine: Engine) -> None:
        spoken = await speak(engine, self.prompt(max_tokens=5))
        assert spoken.finish == "length"
        assert spoken.completion_tokens == 5
        assert spoken.prompt_tokens == await engine.count_tokens(self.prompt().messages)
        assert 0 <= spoken.first_token_ms <= spoken.latency_ms

    async def test_a_stop_string_ends_a_statement_and_is_not_in_it(self, engine: Engine) -> None:
        whole = await speak(engine, self.prompt(max_tokens=16))
        stop = whole.text.split()[3][:3]
        cut = await speak(engine, self.prompt(max_tokens=16, stop=[stop]))
        assert stop not in cut.text
        assert whole.text.startswith(cut.text)
        assert cut.finish == "stop"
        assert cut.completion_tokens < whole.completion_tokens

    async def test_the_same_seed_says_the_same(self, engine: Engine) -> None:
        prompt = self.prompt(max_tokens=8, temperature=1.0, top_p=0.9)
        assert (await speak(engine, prompt)).text == (await speak(engine, prompt)).text

    async def test_of_drafts_one_is_said_and_all_are_counted(self, engine: Engine) -> None:
        prompt = self.prompt(max_tokens=4, min_tokens=4, temperature=1.0, drafts=3)
        *deltas, spoken = [piece async for piece in engine.generate(prompt)]
        assert isinstance(spoken, Spoken)
        assert [delta.text for delta in deltas if isinstance(delta, Delta)] == [spoken.text]
        assert spoken.completion_tokens == 12
        assert spoken.prompt_tokens == await engine.count_tokens(prompt.messages)

    async def test_concurrent_statements_all_end(self, engine: Engine) -> None:
        asked = [self.prompt(name, max_tokens=3 + number) for number, name in enumerate(self.members * 3)]
        spoken = await asyncio.gather(*(speak(engine, prompt) for prompt in asked))
        assert [s.completion_tokens for s in spoken] == [prompt.sampling.max_tokens for prompt in asked]

    async def test_an_unknown_member_is_refused(self, engine: Engine) -> None:
        with pytest.raises(UnknownMember, match="nobody"):
            await speak(engine, self.prompt("nobody"))
        with pytest.raises(UnknownMember, match="nobody"):
            await engine.ensure_ready(["nobody"])

    async def test_an_over_long_prompt_is_refused_with_the_limit(self, engine: Engine) -> None:
        context = engine.describe().context_tokens
        messages = (Message(role="user", content="word " * context),)
        with pytest.raises(BadMessage, match=f"{context:,}"):
            await speak(engine, Prompt(member=self.members[0], messages=messages))

    async def test_a_deadline_ends_the_wait(self, engine: Engine) -> None:
        started = time.monotonic()
        with pytest.raises(SeatDeadline, match=r"0\.05"):
            await speak(engine, self.prompt(deadline_s=0.05))
        assert time.monotonic() - started < 1.05

    async def test_cancelling_one_leaves_the_others_alone(self, engine: Engine) -> None:
        doomed = asyncio.create_task(speak(engine, self.prompt()))
        other = asyncio.create_task(speak(engine, self.prompt(self.members[1], max_tokens=6)))
        await asyncio.sleep(0.02)
        doomed.cancel()
        assert (await other).completion_tokens == 6
        with pytest.raises(asyncio.CancelledError):
            await doomed

    async def test_likelihoods_come_in_order(self, engine: Engine) -> None:
        messages = self.prompt().messages
        texts = ["One, two, three.", "One", "Zebra quartz, uncounted; nevertheless!"]
        asked = [Continuation(member=self.members[0], messages=messages, text=text) for text in texts]
        together = await engine.likelihood(asked)
        alone = [(await engine.likelihood([one]))[0] for one in asked]
        assert [likelihood.tokens for likelihood in together] == [likelihood.tokens for likelihood in alone]
        for some, one in zip(together, alone, strict=True):
            assert some.log_probability < 0 < some.tokens
            assert some.log_probability == pytest.approx(one.log_probability, abs=1e-3)
        assert await engine.likelihood([]) == ()

    async def test_the_event_loop_goes_on_meanwhile(self, engine: Engine) -> None:
        await engine.ensure_ready(self.members)
        lags: list[float] = []

        async def probe() -> None:
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.01)
                lags.append(time.monotonic() - before - 0.01)

        probing = asyncio.create_task(probe())
        await speak(engine, self.prompt(max_tokens=12))
        probing.cancel()
        assert lags == [] or sorted(lags)[int(len(lags) * 0.9)] < 0.25

    async def test_a_closed_engine_is_lost(self, engine: Engine) -> None:
        speaking = asyncio.create_task(speak(engine, self.prompt()))
        await asyncio.sleep(0.02)
        await engine.__aexit__(None, None, None)
        with pytest.raises(EngineLost):
            await asyncio.wait_for(speaking, 5)
        with pytest.raises(EngineLost):
            await speak(engine, self.prompt())

    def test_it_says_what_it_is(self, engine: Engine) -> None:
        info = engine.describe()
        assert info.name
        assert "@" in info.base
        assert info.context_tokens > 0


async def speak(engine: Engine, prompt: Prompt) -> Spoken:
    """Return the finished statement."""
    async for piece in engine.generate(prompt):
        if isinstance(piece, Spoken):
            return piece
    raise AssertionError("the engine ended without a statement")
