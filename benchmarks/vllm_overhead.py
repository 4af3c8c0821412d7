"""What the council adds to vLLM: the same requests sent raw with the `openai` client, and through the council.

usage: python benchmarks/vllm_overhead.py [--rounds 6] [--requests 48] [--tokens 24] [--seats 3]

Starts a server of the shipped members and ends it. Eight requests are in hand at a time, each to a member with an
adapter of its own. A member always speaks as many tokens, --tokens in the mean of all and each another number, so that
requests do not come and go together: a server takes those that come while it computes in its next step, and a
hundredth of a second decides which. A round sends its requests one way and then the other, the order alternates from
round to round, and no message is sent twice (those of the two ways differ in one letter), so that a slower machine
slows both and the server's cache of prefixes serves both alike. The council writes its ledger to disk (SQLite,
synchronous=FULL).

``tokens_per_s_ratio``: council over raw, median of the rounds. ``ttft_extra_ms_p50``: milliseconds to the first token
of the council's request, less those of the raw one at the same place of the same round, median; beside it how far their
quartiles are apart. ``turn_ratio``: a turn of --seats seats over the slowest of the same requests sent raw at the same
time, median. The last line is JSON.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

import openai
from crew import speaking
from served import real_base, request, served

from consilium.council.council import Council
from consilium.council.events import Token
from consilium.engines.vllm.engine import VllmEngine
from consilium.members.catalogue import Catalogue, Member
from consilium.routing.centroid import CentroidRouter
from consilium.routing.pinned import PinnedRouter
from consilium.settings import data_folder

CONCURRENCY = 8
QUESTION = "Case {n}: what is the difference between a good man and a useful one, and which should a city honour?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One request."""

    first_s: float
    all_s: float


Way = Callable[[Member, str], Awaitable[Heard]]


def raw_way(client: openai.AsyncOpenAI) -> Way:
    """Return how a request is sent without the council."""

    async def ask(member: Member, message: str) -> Heard:
        started, first = time.perf_counter(), None
        stream = await client.chat.completions.create(
            **request(member, message), stream=True, stream_options={"include_usage": True}
        )
        async for chunk in stream:
            if first is None and chunk.choices and chunk.choices[0].delta.content:
                first = time.perf_counter() - started
        return Heard(first_s=first or 0.0, all_s=time.perf_counter() - started)

    return ask


def council_way(council: Council) -> Way:
    """Return how a request is put to a council of which one member sits."""

    async def ask(member: Member, message: str) -> Heard:
        started, first = time.perf_counter(), None
        async for event in council.stream(message, members=[member.name]):
            if first is None and isinstance(event, Token):
                first = time.perf_counter() - started
        return Heard(first_s=first or 0.0, all_s=time.perf_counter() - started)

    return ask


async def sent(way: Way, members: Sequence[Member], messages: Sequence[str]) -> tuple[float, list[Heard]]:
    """Return the seconds that the requests took together, and each of them."""
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one(number: int, message: str) -> Heard:
        async with gate:
            return await way(members[number % len(members)], message)

    started = time.perf_counter()
    found = await asyncio.gather(*(one(number, message) for number, message in enumerate(messages)))
    return time.perf_counter() - started, found


def assembled(url: str, tokens: int, folder: Path) -> tuple[Council, list[Member]]:
    """Return a council on the server whose members always speak about ``tokens`` tokens, and those with an adapter."""
    base, shipped = real_base(), Catalogue.load(data_folder("personas"))
    shifts = cycle(range(1 - CONCURRENCY, CONCURRENCY, 2))
    members = {name: speaking(member, tokens + next(shifts)) for name, member in shipped.members.items()}
    catalogue = replace(shipped, members=members)
    parts = Council.open(database=f"sqlite:///{folder / 'ledger.db'}", deadline_s=600.0).parts
    router = PinnedRouter(catalogue, CentroidRouter(base, catalogue))
    parts = replace(parts, catalogue=catalogue, engine=VllmEngine(base, catalogue, [url]), router=router)
    return Council(parts), [member for member in members.values() if member.adapter][:CONCURRENCY]


async def overhead(council: Council, members: list[Member], url: str, asked: argparse.Namespace) -> dict[str, float]:
    """Measure throughput and first tokens."""
    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    ways = {"raw": raw_way(client), "council": council_way(council)}
    firsts: dict[str, list[float]] = {name: [] for name in ways}
    ratios = []
    for number in range(asked.rounds + 1):
        seconds = {}
        for name in sorted(ways, reverse=bool(number % 2)):
            messages = [QUESTION.format(n=f"{number}-{place}{name[0]}") for place in range(asked.requests)]
            seconds[name], found = await sent(ways[name], members, messages)
            firsts[name] += [1e3 * each.first_s for each in found] if number else []  # the first round warms up
        print("   ".join(f"{name} {seconds[name]:6.2f} s" for name in ways), flush=True)
        ratios += [seconds["raw"] / seconds["council"]] if number else []
    extra = [council - raw for raw, council in zip(firsts["raw"], firsts["council"], strict=True)]
    low, middle, high = statistics.quantiles(extra, n=4)
    return {
        "tokens_per_s_ratio": statistics.median(ratios),
        "tokens_per_s_ratio_least": min(ratios),
        "tokens_per_s_ratio_most": max(ratios),
        "ttft_extra_ms_p50": middle,
        "ttft_extra_ms_quartiles_apart": high - low,
        "ttft_raw_ms_p50": statistics.median(firsts["raw"]),
    }


async def overlap(council: Council, members: list[Member], url: str, asked: argparse.Namespace) -> float:
    """Return how long a turn takes, over the slowest of its seats' requests sent raw at the same time."""
    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    seated = members[: asked.seats]
    ratios = []
    for number in range(asked.rounds + 1):
        message = QUESTION.format(n=f"turn {number}")

        async def turn(message: str = message) -> float:
            started = time.perf_counter()
            await council.ask(message, members=[member.name for member in seated], seats=len(seated))
            return time.perf_counter() - started

        async def slowest(message: str = message) -> float:
            _, found = await sent(raw_way(client), seated, [message] * len(seated))
            return max(each.all_s for each in found)

        if number % 2:
            whole, alone = await turn(), await slowest()
        else:
            alone, whole = await slowest(), await turn()
        ratios.append(whole / alone)
    return statistics.median(ratios[1:])


async def measured(url: str, asked: argparse.Namespace) -> dict[str, float]:
    """Measure all."""
    with tempfile.TemporaryDirectory(dir=".") as name:
        council, members = assembled(url, asked.tokens, Path(name))
        async with council:
            figures = await overhead(council, members, url, asked)
            return {**figures, "turn_ratio": await overlap(council, members, url, asked)}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--requests", type=int, default=48)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--seats", type=int, default=3)
    asked = parser.parse_args()
    with served(Catalogue.load(data_folder("personas")), CONCURRENCY) as url:
        figures = asyncio.run(measured(url, asked))
    print(json.dumps({**{name: round(figure, 3) for name, figure in figures.items()}, **vars(asked)}))


if __name__ == "__main__":
    main()
