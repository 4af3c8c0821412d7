"""What drafts gain a member, and what they cost.

usage: python benchmarks/drafts.py --data ../shared/data/house --member editor [--part dev] [--rows 200]
           [--temperature 0.7] [--drafts 4 8 16] [--length-penalty 1.0 1.25]

The member takes the likeliest token each time, and draws as many drafts as the longest list needs; of the first so many
of them the one is taken that it finds likeliest for its length (`consilium.engines.drafts`), which counts to the power
of each length penalty. All metrics of its work, in percent; *over one*: the gain over the likeliest tokens in the
headline metric, and *over trivial* that over what takes no skill, with 95 % intervals, rows drawn in pairs (that of
chrF is of the mean over sentences). *seconds*: of one statement alone whose prompt has been read, in the median over
the first rows, one kind after the other. Last line JSON.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median

from consilium.concurrency import all_of
from consilium.engines.drafts import each_asked, likeliest, weighed
from consilium.engines.embedded.engine import EmbeddedEngine
from consilium.engines.protocol import Likelihood, Prompt
from consilium.evaluation.arms import Arm, seated
from consilium.evaluation.bootstrap import Interval, paired_interval
from consilium.evaluation.markdown import table
from consilium.evaluation.tasks import sampled
from consilium.evaluation.work import work_of
from consilium.members.base import BUILT_IN, open_base
from consilium.members.catalogue import Catalogue
from consilium.settings import Settings
from consilium.testing.engine import speak
from consilium.training.data import split_of
from consilium.training.rows import Row

AT_ONCE = 4
"""Rows whose drafts are drawn at one time."""
TIMED = 10
"""Rows whose statements are timed."""
ONE = "likeliest tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """To one row."""

    one: str
    """By the likeliest tokens."""
    drafts: Sequence[str]
    likelihoods: Sequence[Likelihood]

    def chosen(self, count: int, length_penalty: float) -> str:
        """Return which of the first so many drafts is said."""
        return self.drafts[likeliest(self.likelihoods[:count], length_penalty)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one way to speak."""

    metrics: Mapping[str, float]
    """Percent."""
    over_one: tuple[float, float, float]
    over_trivial: tuple[float, float, float]
    seconds: float | None
    """Of a statement; None where nobody speaks."""


def main() -> None:
    """Draw, choose, score, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--member", required=True)
    parser.add_argument("--part", choices=["dev", "test"], default="dev")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--drafts", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--length-penalty", type=float, nargs="+", default=[1.0])
    arguments = parser.parse_args()
    settings = Settings.load()
    catalogue = Catalogue.load(settings.personas)
    member = catalogue.get(arguments.member)
    rows = sampled(getattr(split_of(member, arguments.data), arguments.part), arguments.rows, settings.seed)
    engine = EmbeddedEngine(open_base(BUILT_IN, cache=settings.cache_dir), catalogue, precision=settings.precision)
    found, seconds = asyncio.run(drawn(engine, seated(member), rows, arguments.temperature, arguments.drafts))
    work = work_of(member)
    ways = {name_of(*way): way for way in product(arguments.drafts, arguments.length_penalty)}
    said = {"trivial": work.trivial_statements(rows), ONE: [each.one for each in found]}
    said |= {name: [each.chosen(*way) for each in found] for name, way in ways.items()}
    took = {ONE: seconds[1], **{name: seconds[count] for name, (count, _) in ways.items()}}
    figures = {
        name: Figures(
            metrics={metric: round(100 * share, 1) for metric, share in work.score(statements, rows).items()},
            over_one=points(paired_interval(work, statements, said[ONE], rows)),
            over_trivial=points(paired_interval(work, statements, said["trivial"], rows)),
            seconds=took.get(name),
        )
        for name, statements in said.items()
    }
    print(shown(figures, work.headline))
    asked = {name: getattr(arguments, name) for name in ("member", "part", "temperature")}
    print(json.dumps({**asked, "rows": len(rows), "figures": {name: asdict(each) for name, each in figures.items()}}))


async def drawn(
    engine: EmbeddedEngine, arm: Arm, rows: Sequence[Row], temperature: float, counts: Sequence[int]
) -> tuple[list[Said], dict[int, float]]:
    """Return what is drawn for each row; and by how many drafts, how many seconds one statement takes."""
    gate = asyncio.Semaphore(AT_ONCE)

    def prompt(row: Row, drafts: int) -> Prompt:
        sampling = arm.sampling.model_copy(update={"drafts": drafts, "temperature": temperature if drafts > 1 else 0.0})
        return Prompt(member=arm.member.name, messages=arm.messages(row), sampling=sampling)

    async def of_row(row: Row) -> Said:
        async with gate:
            one = (await speak(engine, prompt(row, 1))).text  # which reads the prompt for the others
            asked = prompt(row, max(counts))
            drafts = [draft.text for draft in await all_of([speak(engine, each) for each in each_asked(asked)])]
            return Said(one=one, drafts=drafts, likelihoods=await weighed(engine.likelihood, asked, drafts))

    async with engine:
        found = await all_of([of_row(row) for row in rows])
        seconds: dict[int, list[float]] = {}
        for row in rows[:TIMED]:
            await speak(engine, prompt(row, 1))
            for count in (1, *counts):
                started = time.perf_counter()
                await speak(engine, prompt(row, count))
                seconds.setdefault(count, []).append(time.perf_counter() - started)
    return found, {count: median(taken) for count, taken in seconds.items()}


def name_of(count: int, length_penalty: float) -> str:
    """Return what a table calls a choice among so many drafts."""
    return f"of {count} drafts" + (f", length^{length_penalty:g}" if length_penalty != 1 else "")


def points(gain: Interval) -> tuple[float, float, float]:
    """Return a gain and the bounds of its interval, in percentage points."""
    return round(100 * gain.difference, 1), round(100 * gain.low, 1), round(100 * gain.high, 1)


def shown(figures: Mapping[str, Figures], headline: str) -> str:
    """Return a table of them, the headline metric first."""
    metrics = sorted(figures[ONE].metrics, key=lambda name: name != headline)
    gain = "{:+.1f} [{:+.1f}, {:+.1f}]"
    lines = [
        [
            name,
            *(f"{found.metrics[metric]:.1f}" for metric in metrics),
            gain.format(*found.over_one),
            gain.format(*found.over_trivial),
            f"{found.seconds:.2f}" if found.seconds else "",
        ]
        for name, found in figures.items()
    ]
    return table(["said", *metrics, "over one", "over trivial", "seconds"], lines)


if __name__ == "__main__":
    main()
