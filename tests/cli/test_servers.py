"""What `consilium doctor` says of vLLM servers, good and bad."""

from pathlib import Path

import pytest

from consilium.cli.servers import server_checks
from consilium.engines.vllm.inspection import PromptTokens, prompt_tokens
from consilium.members.base import Base
from consilium.members.catalogue import Catalogue
from consilium.settings import Settings
from tests.support.tiny import write_tiny_base
from tests.support.vllm import FakeVllm

SLOTS = 'vllm:lora_requests_info{max_lora="1",running_lora_adapters="",waiting_lora_adapters=""} 1.0\n'


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return write_tiny_base(tmp_path / "base")


async def found(server: FakeVllm, harbour: Path) -> dict[str, tuple[str, str]]:
    async with server.running():
        settings = Settings.load(base_url=server.url, personas=harbour)
        checks = await server_checks(settings, server.base, Catalogue.load(harbour))
    return {check.name.removeprefix("server "): (check.state, check.finding) for check in checks}


async def test_a_server_that_takes_adapters_is_fine_without_any(base: Base, harbour: Path) -> None:
    checks = await found(FakeVllm(base=base), harbour)
    assert {name: state for name, (state, _) in checks.items() if state != "ok"} == {"clock": "warn"}
    assert checks["adapters"][1] == "0 of 2 adapters"
    assert checks["one token"][1].endswith(" ms")


async def test_what_is_amiss_is_told_with_its_remedy(base: Base, harbour: Path) -> None:
    pages = {"/version": '{"version":"0.11.0"}', "/metrics": SLOTS, "/pause": "", "/collective_rpc": ""}
    server = FakeVllm(base=base, adapters=["pilot@000000000000"], takes_adapters=False, pages=pages)
    checks = await found(server, harbour)
    assert checks["server"] == ("warn", f"{server.url}, vLLM 0.11.0; tried with 0.32.x and 0.33.x")
    assert checks["adapters"][0] == "fail"
    assert "consilium engine up" in checks["adapters"][1]
    assert checks["updating"][0] == "fail"
    assert checks["slots"] == (
        "warn",
        "--max-loras 1, for 3 seats a turn; seats wait for each other. Start it with as many as there are seats",
    )
    assert checks["paths"][0] == "warn"
    assert "/collective_rpc, /pause answer without a key" in checks["paths"][1]


async def test_the_key_is_not_sent_where_it_is_looked_for_open_paths(base: Base, harbour: Path) -> None:
    server = FakeVllm(base=base)
    async with server.running():
        settings = Settings.load(base_url=server.url, personas=harbour, api_key="canary-7")
        await server_checks(settings, base, Catalogue.load(harbour))
    keys = dict(zip([path for path, _ in server.asked], server.keys, strict=True))
    assert keys["/v1/models"] == "bearer canary-7"
    assert keys["/pause"] == ""


async def test_a_server_that_is_not_there_fails(base: Base, harbour: Path) -> None:
    settings = Settings.load(base_url="http://127.0.0.1:9/v1", personas=harbour)
    (check,) = await server_checks(settings, base, Catalogue.load(harbour))
    assert check.state == "fail"
    assert "does not answer" in check.finding


def test_what_was_cached_is_read_from_the_metrics() -> None:
    lines = [
        "# TYPE vllm:prefix_cache_queries_total counter",
        'vllm:prefix_cache_queries_total{engine="0",model_name="b"} 1280.0',
        'vllm:prefix_cache_hits_total{engine="0",model_name="b"} 1.024e+03',
    ]
    assert prompt_tokens("\n".join(lines)) == PromptTokens(asked=1_280, cached=1_024)
    assert prompt_tokens("") == PromptTokens(asked=0, cached=0)
