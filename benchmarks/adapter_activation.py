"""What it takes until an adapter answers that lies on disk, or in the host memory of a server.

usage: python benchmarks/adapter_activation.py [--adapters 100] [--slots 8]

Starts a server with so many slots and ends it. Each adapter is asked through the engine for a token while it lies on
disk, and again while it lies in the server's memory but in none of its slots, since all the others were asked in
between; right after each, it is asked the same in a prompt of the same length, and the difference is what activation
takes. No prompt is asked twice. Then all adapters are asked twice, in any order and sixteen at a time, by an engine
that keeps but --slots of them on the server.

``disk_ms_p50``, ``memory_ms_p50``: medians of those differences. ``failed``: requests without an answer. The last line
is JSON.
"""

import argparse
import asyncio
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from random import Random

from crew import crew, speaking
from served import real_base, served

from consilium.engines.protocol import Delta, Message, Prompt
from consilium.engines.vllm.engine import VllmEngine
from consilium.errors import EngineError
from consilium.members.catalogue import Catalogue, Member
from consilium.settings import data_folder

TOGETHER = 16


class Asker:
    """Asks members for a token, each time in another prompt of the same length."""

    def __init__(self, engine: VllmEngine) -> None:
        self._engine = engine
        self._number = 10_000
        self.failed = 0

    async def first_ms(self, member: Member) -> float | None:
        """Return milliseconds to the first token; None where there was none."""
        self._number += 1
        messages = (
            Message(role="system", content=f"{self._number} is your number."),
            Message(role="user", content="Say something."),
        )
        prompt = Prompt(member=member.name, messages=messages, sampling=member.persona.sampling)
        started = time.perf_counter()
        try:
            async for piece in self._engine.generate(prompt):
                if isinstance(piece, Delta):
                    return 1e3 * (time.perf_counter() - started)
        except EngineError:
            self.failed += 1
        return None


async def activation_ms(asker: Asker, members: list[Member], where: str) -> list[float]:
    """Return for each member by how much later its first token came than that of the request right after."""
    found = []
    for member in members:
        cold, warm = await asker.first_ms(member), await asker.first_ms(member)
        if cold is not None and warm is not None:
            found.append(cold - warm)
    low, middle, high = statistics.quantiles(found, n=4)
    print(f"{where:<7} {low:7.1f} {middle:7.1f} {high:7.1f} ms (quartiles of {len(found)})", flush=True)
    return found


async def measured(url: str, catalogue: Catalogue, asked: argparse.Namespace) -> dict[str, float]:
    """Measure all."""
    members = [member for member in catalogue.members.values() if member.adapter]
    async with VllmEngine(real_base(), catalogue, [url], capacity=2 * len(members)) as engine:
        (replica,) = engine.replicas
        asker = Asker(engine)
        await asker.first_ms(members[0])
        for member in members:
            await replica.server.unload(member.content_name)
            replica.adapters.tier.forget(member.content_name)
        disk = await activation_ms(asker, members, "disk")
        tally = replica.adapters.tier.tally
        load_ms = tally.load_ms / tally.loads
        memory = await activation_ms(asker, members, "memory")
        failed = asker.failed
        for member in members:
            await replica.server.unload(member.content_name)
    async with VllmEngine(real_base(), catalogue, [url], capacity=asked.slots) as engine:
        asker, gate = Asker(engine), asyncio.Semaphore(TOGETHER)

        async def one(member: Member) -> None:
            async with gate:
                await asker.first_ms(member)

        order = Random(0).sample(members * 2, k=2 * len(members))
        await asyncio.gather(*map(one, order))
        counts = engine.replicas[0].adapters.tier.tally
    return {
        "disk_ms_p50": statistics.median(disk),
        "memory_ms_p50": statistics.median(memory),
        "failed": failed + asker.failed,
        "load_ms_mean": load_ms,
        "cycled_requests": len(order),
        "cycled_loads": counts.loads,
        "cycled_unloads": counts.given_back,
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapters", type=int, default=100)
    parser.add_argument("--slots", type=int, default=8)
    asked = parser.parse_args()
    shipped = Catalogue.load(data_folder("personas"))
    members = {member.name: speaking(member, 2) for member in crew(asked.adapters)}
    members[shipped.fallback] = shipped.get(shipped.fallback)
    catalogue = replace(shipped, members=members, root=Path("/"))  # noisy adapters lie elsewhere than the others
    with served(catalogue, asked.slots - 1) as url:
        figures = asyncio.run(measured(url, catalogue, asked))
    print(json.dumps({**{name: round(figure, 2) for name, figure in figures.items()}, **vars(asked)}))


if __name__ == "__main__":
    main()
