"""What can be learned of a vLLM server without changing anything there: for `consilium doctor` and `engine status`."""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from consilium.engines.protocol import Message, Prompt
from consilium.engines.vllm.server import Served, Server
from consilium.members.persona import SamplingDefaults

ADMINISTRATIVE = (
    "/collective_rpc",
    "/invocations",
    "/pause",
    "/reset_prefix_cache",
    "/scale_elastic_ep",
    "/server_info",
    "/sleep",
    "/start_profile",
    "/update_weights",
)
"""Paths of vLLM 0.32 and 0.33 that no key guards. A GET does nothing on any: those that act want a POST."""
_SLOTS = re.compile(r'^vllm:lora_requests_info\{.*max_lora="(\d+)"', re.MULTILINE)
_PREFIXES = re.compile(r"^vllm:prefix_cache_(queries|hits)_total\{[^}]*\} (\S+)$", re.MULTILINE)
_NOT_THERE = (401, 403, 404)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTokens:
    """Tokens of all prompts since the server was started, and how many of them it did not compute again."""

    asked: int
    cached: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """One server."""

    version: str
    """Of vLLM; empty where the server does not tell."""
    served: Served
    takes_adapters: bool
    """Whether adapters can be loaded at run time."""
    slots: int | None
    """Adapters that it computes with at one time; None before it was ever asked for one, and where it does not tell."""
    prompt_tokens: PromptTokens
    open_paths: tuple[str, ...]
    """Those of `ADMINISTRATIVE` that answer without a key."""
    clock_s: float | None
    """By how much its clock is ahead of ours, to a second; None where it does not tell."""
    one_token_ms: float
    """From asking to the end of a statement of one token."""


async def inspect(server: Server) -> Inspection:
    """Look at a server.

    Raises:
        Again, EngineLost: it does not answer, refuses the key, or is none of vLLM's.
    """
    served = await server.served()
    one_token_ms = await _one_token_ms(server, sorted(served.adapters)[0] if served.adapters else served.base)
    version = await server.look("/version")
    metrics = (await server.look("/metrics")).text
    slots = _SLOTS.search(metrics)
    seen = {path: (await server.look(path)).status for path in (*ADMINISTRATIVE, "/v1/load_lora_adapter")}
    return Inspection(
        version=version.text.partition('"version":"')[2].partition('"')[0],
        served=served,
        takes_adapters=seen.pop("/v1/load_lora_adapter") != 404,
        slots=int(slots[1]) if slots else None,
        prompt_tokens=prompt_tokens(metrics),
        open_paths=tuple(path for path, status in seen.items() if status not in _NOT_THERE),
        clock_s=_ahead_s(version.date),
        one_token_ms=one_token_ms,
    )


def prompt_tokens(metrics: str) -> PromptTokens:
    """Return what a server's ``/metrics`` say of its cache of prefixes; zeros where they say nothing."""
    counts = {"queries": 0, "hits": 0}
    for kind, value in _PREFIXES.findall(metrics):
        counts[kind] += int(float(value))
    return PromptTokens(asked=counts["queries"], cached=counts["hits"])


async def _one_token_ms(server: Server, model: str) -> float:
    messages = (Message(role="user", content="Hello"),)
    started = time.perf_counter()
    one = Prompt(member="", messages=messages, sampling=SamplingDefaults(max_tokens=1))
    async with server.speaking(model, one) as pieces:
        async for _ in pieces:
            pass
    return 1e3 * (time.perf_counter() - started)


def _ahead_s(date: str) -> float | None:
    try:
        return (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return None
