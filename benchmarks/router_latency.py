"""What a decision of the hierarchical router costs, beside MiniLM's, and with a thousand members.

usage: python benchmarks/router_latency.py --router FILE --data ../shared/data/house [--more ../shared/data/router]

One thread, where nothing else is said. ``p50_ms``: the fast stage, 64 tokens; ``deep_ms``: the deep stage, 20 tokens,
its question around them included; ``plain_ms``: transformers reading just those 20 through as many layers;
``deep_2_ms`` and ``plain_2_ms``: the same with two threads; ``vs_plain``: the deep stage over that, with one thread;
``vs_minilm``: the fast stage over encoding the same message with MiniLM, which every router on top of it pays;
``members_1000_over_16``: the fast stage of a thousand invented members over one of sixteen; ``fast_share``: house
requests that the fast stage decides alone; ``house_p50_ms`` and ``house_p99_ms``: whole decisions on those;
``shift_p50_ms`` and ``shift_p99_ms``: the same under shift. Prints milliseconds; last line JSON.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from consilium.members.base import BUILT_IN, Base, open_base
from consilium.members.catalogue import Catalogue
from consilium.routing.cascade import Cascade, FastStage
from consilium.routing.fine import FinePath
from consilium.routing.hierarchical import HierarchicalRouter
from consilium.routing.hybrid import Hybrid
from consilium.routing.network import CoarseNetwork
from consilium.routing.ngrams import BUCKETS
from consilium.routing.protocol import Request
from consilium.routing.requests import gather
from consilium.routing.router_file import read_router
from consilium.routing.sentence import SentenceEncoder
from consilium.settings import Settings

SENTENCE = "Find every shell script below this folder that was changed last week and make it executable. "


def timed(task: Callable[[], object], times: int = 200) -> list[float]:
    """Return milliseconds of so many runs, after ten that do not count."""
    for _ in range(10):
        task()
    spans = []
    for _ in range(times):
        started = time.perf_counter()
        task()
        spans.append(1e3 * (time.perf_counter() - started))
    return spans


def invented(members: int, like: FastStage) -> FastStage:
    """Return a fast stage of so many members in groups of ten, with weights drawn at random."""
    group_of = [number // 10 for number in range(members)]
    votes = torch.randint(-127, 128, (BUCKETS, members), dtype=torch.int8)
    ones = torch.ones(members)
    fine = FinePath(votes, 0.01 * ones, -ones, torch.ones(BUCKETS).half())
    width = like.reader.batch([like.reader.read("a")]).embeddings.shape[-1]
    coarse = CoarseNetwork(members, max(group_of) + 1, inputs=width).eval()
    return FastStage(reader=like.reader, fine=fine, coarse=coarse, hybrid=Hybrid(group_of).eval())


def of_length(tokens: int, base: Base) -> str:
    """Return a message of so many tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(base.path / "tokenizer.json"))
    return tokenizer.decode(tokenizer.encode(SENTENCE * 8, add_special_tokens=False).ids[:tokens])


def plain(message: str, depth: int, base: Base) -> Callable[[], object]:
    """Return what reads a message through the first layers of the base as transformers does."""
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(base.path, dtype=torch.float32)
    model.layers = model.layers[:depth]
    ids = AutoTokenizer.from_pretrained(base.path)(message, return_tensors="pt").input_ids

    def read() -> object:
        with torch.inference_mode():
            return model(input_ids=ids, use_cache=False)

    return read


async def decided(router: HierarchicalRouter, messages: list[str]) -> list[float]:
    """Return milliseconds of each decision."""
    spans = []
    for message in messages:
        started = time.perf_counter()
        await router.route(Request(message=message, seats=3))
        spans.append(1e3 * (time.perf_counter() - started))
    return spans


def alone(cascade: Cascade, messages: list[str]) -> float:
    """Return the share that the fast stage decides alone."""
    return statistics.fmean(cascade.scores(message).deep is None for message in messages)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--router", type=Path, required=True)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--more", type=Path)
    parser.add_argument("--personas", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = Settings.load(personas=arguments.personas)
    base = open_base(BUILT_IN, cache=settings.cache_dir)
    catalogue = Catalogue.load(settings.personas)
    file = read_router(arguments.router)
    both = Cascade(file, base)
    fast = both.fast
    router = HierarchicalRouter(file, base, catalogue)
    long, short = of_length(64, base), of_length(20, base)
    minilm = SentenceEncoder()

    def decide(stage: FastStage) -> Callable[[], object]:
        return lambda: stage.decide([long])

    p50 = statistics.median(timed(decide(fast)))
    crowd, few = (statistics.median(timed(decide(invented(count, fast)))) for count in (1_000, 16))
    sentence = statistics.median(timed(lambda: minilm.encode([long]), 50))
    readers = {"deep": lambda: both.look(short), "plain": plain(short, file.card.depth, base)}
    spans: dict[str, float] = {}
    for threads, suffix in ((2, "_2_ms"), (1, "_ms")):
        torch.set_num_threads(threads)
        spans |= {name + suffix: statistics.median(timed(read, 50)) for name, read in readers.items()}
    trials = gather(catalogue, arguments.data, arguments.more).trials
    house = [each.message for each in (*trials["raw"][::20], *trials["phrased"][::20])]
    shifted = [each.message for name, trial in trials.items() if "/" in name for each in trial[::10]]
    figures = {"p50_ms": p50, **spans, "vs_plain": spans["deep_ms"] / spans["plain_ms"]}
    figures |= {"vs_minilm": p50 / sentence, "members_1000_over_16": crowd / few}
    for kind, messages in (("house", house), ("shift", shifted)):
        each = asyncio.run(decided(router, messages))
        figures |= {f"{kind}_p50_ms": statistics.median(each), f"{kind}_p99_ms": sorted(each)[int(0.99 * len(each))]}
        figures[f"{kind}_fast_share"] = alone(both, messages)
    figures["fast_share"] = figures["house_fast_share"]
    for name, value in figures.items():
        print(f"{name:<22} {value:8.3f}")
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
