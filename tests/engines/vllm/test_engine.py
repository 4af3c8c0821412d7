"""The vLLM engine against a loopback server: the seam's promises, and every fault in its place."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from consilium import Council, MemoryLedger
from consilium.engines.protocol import Continuation, Message, Prompt, Spoken
from consilium.engines.vllm import replicas
from consilium.engines.vllm.engine import ATTEMPTS, VllmEngine
from consilium.engines.vllm.null_adapter import null_adapter
from consilium.errors import (
    AdapterMissing,
    AdapterRefused,
    BadSettings,
    EngineBusy,
    EngineError,
    EngineLost,
    SeatDeadline,
)
from consilium.members.base import BUILT_IN, Base, open_base
from consilium.members.catalogue import Catalogue
from consilium.members.persona import SamplingDefaults
from consilium.settings import Settings
from consilium.testing.engine import EngineConformance, speak
from tests.support.tiny import write_base_of_adapters
from tests.support.vllm import SERVED, FakeVllm, Fault

MESSAGES = (Message(role="user", content="w20 w21"),)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return write_base_of_adapters(tmp_path_factory.mktemp("base"))


@pytest.fixture
def crew(harbour: Path) -> Catalogue:
    return Catalogue.load(harbour)


@asynccontextmanager
async def opened(base: Base, crew: Catalogue, *servers: FakeVllm, key: str | None = None) -> AsyncIterator[VllmEngine]:
    async with AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server.running())
        yield await stack.enter_async_context(VllmEngine(base, crew, [server.url for server in servers], key=key))


def prompt(member: str = "pilot", *, deadline_s: float | None = None, tokens: int = 6) -> Prompt:
    sampling = SamplingDefaults(max_tokens=tokens)
    return Prompt(member=member, messages=MESSAGES, sampling=sampling, deadline_s=deadline_s)


class TestVllmEngine(EngineConformance):
    members = ("pilot", "mate")

    @pytest.fixture
    async def engine(self, base: Base, crew: Catalogue) -> AsyncIterator[VllmEngine]:
        async with opened(base, crew, FakeVllm(base=base)) as engine:
            yield engine


async def test_adapters_of_another_base_are_refused_before_a_server_takes_them(base: Base, crew: Catalogue) -> None:
    server = FakeVllm(base=base)
    async with opened(replace(base, name="other@0123456789ab"), crew, server) as engine:
        asked = Continuation(member="pilot", messages=MESSAGES, text="north")
        for call in (engine.ensure_ready(["clerk", "pilot"]), speak(engine, prompt()), engine.likelihood([asked])):
            with pytest.raises(AdapterRefused, match="'pilot' was trained on base"):
                await call
    assert crew.get("pilot").content_name not in server.adapters


async def test_a_catalogue_in_a_relative_folder_is_loaded_from_where_it_is(
    base: Base, harbour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(harbour.parent)
    server = FakeVllm(base=base, sees_folders=True)
    async with opened(base, Catalogue.load(Path(harbour.name)), server) as engine:
        await engine.ensure_ready(["pilot"])
    assert any(name.startswith("pilot@") for name in server.adapters)


async def test_members_answer_under_their_content_names_and_the_base_under_its_own(base: Base, crew: Catalogue) -> None:
    server = FakeVllm(base=base)
    async with opened(base, crew, server) as engine:
        for name in ("pilot", "pilot", "clerk"):
            await speak(engine, prompt(name))
    models = [body["model"] for path, body in server.asked if path == "/v1/chat/completions"]
    pilot = crew.get("pilot").content_name
    assert models == [pilot, pilot, SERVED]
    loads = [body for path, body in server.asked if path == "/v1/load_lora_adapter"]
    assert loads == [{"lora_name": pilot, "lora_path": str(crew.root.resolve() / "pilot" / "adapter")}]


async def test_a_schema_and_every_way_of_speaking_reach_the_server(base: Base, crew: Catalogue) -> None:
    server, schema = FakeVllm(base=base), {"type": "object"}
    sampling = SamplingDefaults(max_tokens=9, min_tokens=3, temperature=0.5, top_p=0.9, repetition_penalty=1.2)
    async with opened(base, crew, server) as engine:
        await speak(engine, Prompt(member="pilot", messages=MESSAGES, sampling=sampling, schema=schema, seed=7))
        await speak(engine, prompt())
    shaped, free = (body for path, body in server.asked if path == "/v1/chat/completions")
    assert shaped["response_format"]["json_schema"]["schema"] == schema
    asked = {name: shaped[name] for name in ("max_tokens", "min_tokens", "temperature", "top_p", "seed")}
    assert asked == {"max_tokens": 9, "min_tokens": 3, "temperature": 0.5, "top_p": 0.9, "seed": 7}
    assert shaped["repetition_penalty"] == 1.2
    assert "response_format" not in free


async def test_whatever_is_said_arrives_as_it_was_said(base: Base, crew: Catalogue) -> None:
    strange = [f"a{mark}b" for mark in ("\u2028", "\x85", "\r", "\n", "\n\ndata:{}\n\n", "\N{WHALE}")]
    async with opened(base, crew, FakeVllm(base=base, words=strange)) as engine:
        spoken = await speak(engine, prompt(tokens=len(strange)))
    assert sorted(spoken.text.split(" ")) == sorted(strange)


async def test_the_likelihood_is_of_the_reply_and_its_end_alone(base: Base, crew: Catalogue) -> None:
    async with opened(base, crew, FakeVllm(base=base)) as engine:
        asked = [Continuation(member="pilot", messages=MESSAGES, text=text) for text in ("w40", "w40 w41")]
        short, long = await engine.likelihood(asked)
    assert (short.tokens, long.tokens) == (2, 3)
    assert long.log_probability < short.log_probability < 0


@pytest.mark.parametrize("fault", ["reset", "500", "429", "json", "redirect"])
async def test_a_fault_before_anything_was_heard_is_tried_again(base: Base, crew: Catalogue, fault: Fault) -> None:
    server = FakeVllm(base=base, faults=[fault, fault])
    async with opened(base, crew, server) as engine:
        if fault == "redirect":
            with pytest.raises(EngineLost, match="answered 302"):
                await speak(engine, prompt())
        else:
            assert (await speak(engine, prompt())).completion_tokens == 6
    assert server.count("/v1/chat/completions") == (1 if fault == "redirect" else 3)


@pytest.mark.parametrize(
    ("fault", "error"), [("reset", EngineLost), ("500", EngineLost), ("429", EngineBusy), ("json", EngineLost)]
)
async def test_attempts_have_an_end_and_leave_a_typed_error(
    base: Base, crew: Catalogue, fault: Fault, error: type[EngineError]
) -> None:
    server = FakeVllm(base=base, faults=[fault] * 9)
    async with opened(base, crew, server) as engine:
        with pytest.raises(error):
            await speak(engine, prompt())
    assert server.count("/v1/chat/completions") == ATTEMPTS


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("cut", "broke off"),
        ("failure", "gave up in the middle of a statement: EngineCore died"),
        ("model", "answered as 'another'"),
        ("flood", "characters; 6 tokens"),
    ],
)
async def test_what_was_heard_in_part_is_never_asked_for_again(
    base: Base, crew: Catalogue, fault: Fault, told: str
) -> None:
    server = FakeVllm(base=base, faults=[fault])
    async with opened(base, crew, server) as engine:
        with pytest.raises(EngineLost, match=told):
            await speak(engine, prompt())
        assert (await speak(engine, prompt())).completion_tokens == 6
    assert server.count("/v1/chat/completions") == 2


@pytest.mark.parametrize("fault", ["drip", "hang"])
async def test_no_call_outlives_its_deadline(base: Base, crew: Catalogue, fault: Fault) -> None:
    async with opened(base, crew, FakeVllm(base=base, faults=[fault])) as engine:
        started = time.monotonic()
        with pytest.raises(SeatDeadline):
            await speak(engine, prompt(deadline_s=0.5))
        assert time.monotonic() - started < 1.5


async def test_a_server_that_lost_its_adapters_is_given_them_again(base: Base, crew: Catalogue) -> None:
    server = FakeVllm(base=base)
    async with opened(base, crew, server) as engine:
        await speak(engine, prompt())
        server.adapters.clear()  # as after a restart
        assert (await speak(engine, prompt())).completion_tokens == 6
    assert server.count("/v1/load_lora_adapter") == 2


async def test_a_server_that_takes_no_adapters_is_asked_for_those_it_has(base: Base, crew: Catalogue) -> None:
    server = FakeVllm(base=base, adapters=[crew.get("pilot").content_name], takes_adapters=False)
    async with opened(base, crew, server) as engine:
        assert (await speak(engine, prompt("pilot"))).completion_tokens == 6
        with pytest.raises(AdapterMissing, match="consilium engine up"):
            await speak(engine, prompt("mate"))


async def test_adapters_of_others_on_a_server_are_left_alone(base: Base, crew: Catalogue) -> None:
    server = FakeVllm(base=base, adapters=["theirs@0123456789ab"])
    async with server.running(), VllmEngine(base, crew, [server.url], capacity=1) as engine:
        for name in ("pilot", "mate"):
            await speak(engine, prompt(name))
    assert server.adapters == ["theirs@0123456789ab", crew.get("mate").content_name]


@pytest.mark.parametrize("sees_folders", [True, False])
async def test_a_server_without_the_adapter_that_changes_nothing_is_given_it(
    base: Base, crew: Catalogue, tmp_path: Path, *, sees_folders: bool
) -> None:
    server = FakeVllm(base=base, sees_folders=sees_folders)
    async with server.running(), VllmEngine(base, crew, [server.url], work=tmp_path / "work") as engine:
        await speak(engine, prompt("clerk"))
    model = server.asked[-1][1]["model"]
    assert model == (null_adapter(base)[0] if sees_folders else SERVED)


async def test_many_who_find_a_server_started_again_give_it_that_adapter_once(
    base: Base, crew: Catalogue, tmp_path: Path
) -> None:
    server = FakeVllm(base=base)
    async with server.running(), VllmEngine(base, crew, [server.url], work=tmp_path / "work") as engine:
        server.adapters.clear()
        engine.replicas[0].failed()
        await asyncio.gather(*(speak(engine, prompt(name)) for name in [*crew.members] * 3))
    assert server.count("/v1/models") == 2
    loaded = [body["lora_name"] for path, body in server.asked if path == "/v1/load_lora_adapter"]
    assert loaded.count(null_adapter(base)[0]) == 2


async def test_each_member_has_a_home_and_a_lost_server_is_stood_in_for(base: Base, crew: Catalogue) -> None:
    servers = [FakeVllm(base=base) for _ in range(3)]
    async with opened(base, crew, *servers) as engine:
        for _ in range(6):
            await speak(engine, prompt())
        counts = [server.count("/v1/chat/completions") for server in servers]
        assert sorted(counts) == [0, 0, 6]
        servers[counts.index(6)].faults = ["reset"] * 20
        assert (await speak(engine, prompt())).completion_tokens == 6
        assert sum(server.count("/v1/chat/completions") for server in servers) == 8


async def test_a_busy_home_lets_others_help(base: Base, crew: Catalogue) -> None:
    servers = [FakeVllm(base=base, token_s=0.02) for _ in range(2)]
    async with opened(base, crew, *servers) as engine:
        await asyncio.gather(*(speak(engine, prompt()) for _ in range(3 * replicas.SPILL)))
    assert min(server.count("/v1/chat/completions") for server in servers) >= 2


async def test_a_key_goes_to_the_server_and_a_missing_one_is_told(base: Base, crew: Catalogue) -> None:
    server = FakeVllm(base=base)
    async with opened(base, crew, server, key="canary-7") as engine:
        await speak(engine, prompt())
        assert set(server.keys) == {"bearer canary-7"}
        assert "canary-7" not in repr(engine.describe())


async def test_no_server_is_told_with_the_remedy(base: Base, crew: Catalogue) -> None:
    with pytest.raises(EngineLost, match="consilium engine up"):
        async with VllmEngine(base, crew, ["http://127.0.0.1:9/v1"]):
            pass
    with pytest.raises(BadSettings, match="base_url"):
        VllmEngine(base, crew, [])


async def test_one_server_of_two_is_enough(base: Base, crew: Catalogue) -> None:
    server = FakeVllm(base=base)
    async with server.running(), VllmEngine(base, crew, ["http://127.0.0.1:9/v1", server.url]) as engine:
        spoken: Sequence[Spoken] = await asyncio.gather(*(speak(engine, prompt(name)) for name in crew.members))
    assert [each.completion_tokens for each in spoken] == [6, 6, 6]


@pytest.mark.model
async def test_a_council_over_a_server_is_one_setting_away(harbour: Path, tmp_path: Path) -> None:
    real = open_base(BUILT_IN, cache=Settings.load().cache_dir)
    server = FakeVllm(base=real)
    async with server.running():
        settings = {"engine": "vllm", "base_url": server.url, "personas": harbour, "ledger": MemoryLedger()}
        async with Council.open(**settings) as council:  # type: ignore[arg-type]
            turn = await council.ask("How deep is it?", members=["pilot", "mate"])
    assert [seat.member for seat in turn.seats] == ["pilot", "mate"]
    assert all(seat.statement.text.startswith("w") for seat in turn.seats)
    assert turn.seats[0].statement.text != turn.seats[1].statement.text
