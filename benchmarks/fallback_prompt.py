"""How likely the bare base finds what is asked of nobody, under one system prompt and another.

usage: python benchmarks/fallback_prompt.py --more ../shared/data/router [--work storage/router] "PROMPT" ["PROMPT" ...]

The rows are those of open work that a router is fitted on and whose replies are known (`consilium.routing.sources`):
none of them is among the unseen work that `consilium eval router` tries. Each set's mean, in nats a token of the reply,
its end included; *mean* is that of the sets, each counted once. Last line JSON.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

from consilium.engines.embedded.engine import EmbeddedEngine
from consilium.evaluation.answers import Answers
from consilium.evaluation.arms import seated
from consilium.evaluation.markdown import table
from consilium.members.base import BUILT_IN, open_base
from consilium.members.catalogue import Catalogue
from consilium.routing.sources import open_work
from consilium.settings import Settings
from consilium.training.rows import Row


def main() -> None:
    """Ask under each prompt, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--more", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("storage/router"))
    parser.add_argument("prompts", nargs="+", metavar="PROMPT")
    arguments = parser.parse_args()
    told = {name: [row for row in rows if row.replies] for name, rows in open_work(arguments.more).items()}
    sets = {name: rows for name, rows in told.items() if rows}
    figures = asyncio.run(likelihoods(arguments.prompts, sets, arguments.work / "fallback_prompt.jsonl"))
    print(
        table(
            ["prompt", *sets, "mean"],
            [[prompt, *(f"{nats:.2f}" for nats in found.values())] for prompt, found in figures.items()],
        )
    )
    print(json.dumps({"rows": {name: len(rows) for name, rows in sets.items()}, "nats": figures}))


async def likelihoods(prompts: Sequence[str], sets: dict[str, list[Row]], kept: Path) -> dict[str, dict[str, float]]:
    """Return by prompt and set how likely the fallback finds the replies, in nats a token."""
    settings = Settings.load()
    base, catalogue = open_base(BUILT_IN, cache=settings.cache_dir), Catalogue.load(settings.personas)
    kept.parent.mkdir(parents=True, exist_ok=True)
    figures: dict[str, dict[str, float]] = {}
    async with EmbeddedEngine(base, catalogue, precision=settings.precision) as engine:
        answers = Answers(engine, kept)
        for prompt in prompts:
            arm = replace(seated(catalogue.get(catalogue.fallback)), system_prompt=prompt)
            of_sets = {}
            for name, rows in sets.items():
                found = await answers.likelihoods(arm, rows, [row.replies[0] for row in rows])
                of_sets[name] = mean(each.log_probability / each.tokens for each in found)
            figures[prompt] = {**of_sets, "mean": mean(of_sets.values())}
    return figures


if __name__ == "__main__":
    main()
