"""How much sooner replies are scored with products in bfloat16, and how far that moves what is found.

usage: python benchmarks/reading_precision.py --data DIR [--rows 64] [--rounds 3] [--members a,b]

Held-out rows of members, each scored by its own member through the embedded engine, once in each precision a round,
the two in turn. *ms*: a reply, the median of the rounds; *nats*: mean difference a token, as it is and without its
sign. Last line JSON.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from consilium.engines.embedded.engine import EmbeddedEngine
from consilium.engines.protocol import Continuation
from consilium.evaluation.arms import seated
from consilium.evaluation.tasks import Tasks
from consilium.members.base import open_base
from consilium.members.catalogue import Catalogue
from consilium.settings import Precision, Settings

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


def asked(catalogue: Catalogue, members: Sequence[str], data: list[Path], rows: int) -> list[Continuation]:
    """Return what is to be scored."""
    tasks = Tasks(catalogue.members.values(), data, sample=rows)
    return [
        Continuation(member=name, messages=seated(catalogue.get(name)).messages(row), text=row.replies[0])
        for name in members
        for row in tasks.read(catalogue.get(name)).scored
    ]


async def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--members", default="dispatcher,librarian,translator")
    arguments = parser.parse_args()
    settings = Settings.load()
    catalogue, base = Catalogue.load(settings.personas), open_base(settings.base, cache=settings.cache_dir)
    members = arguments.members.split(",")
    continuations = asked(catalogue, members, arguments.data, arguments.rows)
    spans: dict[Precision, list[float]] = {precision: [] for precision in PRECISIONS}
    nats: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        engines = {
            precision: await stack.enter_async_context(EmbeddedEngine(base, catalogue, precision=precision))
            for precision in PRECISIONS
        }
        for engine in engines.values():
            await engine.ensure_ready(members)
        for _ in range(arguments.rounds):
            for precision, engine in engines.items():
                started = time.perf_counter()
                found = await engine.likelihood(continuations)
                spans[precision].append(1e3 * (time.perf_counter() - started) / len(continuations))
                nats[precision] = [each.log_probability / each.tokens for each in found]
    moved = [rounded - exact for exact, rounded in zip(nats["float32"], nats["bfloat16"], strict=True)]
    exact, rounded = (statistics.median(spans[precision]) for precision in PRECISIONS)
    figures = {
        "rows": len(continuations),
        "float32_ms": exact,
        "bfloat16_ms": rounded,
        "speedup": exact / rounded,
        "nats": statistics.fmean(moved),
        "nats_apart": statistics.fmean(map(abs, moved)),
        "nats_most": max(map(abs, moved)),
    }
    for name, value in figures.items():
        print(f"{name:<14} {value:10.5f}")
    print(json.dumps({name: round(value, 5) for name, value in figures.items()}))


if __name__ == "__main__":
    asyncio.run(main())
