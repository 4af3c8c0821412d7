"""A job against a real server: tokens a second of a batch job, over those of the `openai` client by itself.

usage: python benchmarks/batch_vllm.py --data ../shared/data/house [--rows 200] [--rounds 2] [--concurrency 16]

Starts a vLLM server of the shipped members on this CPU and ends it. The rows are requests of the house, as many for
each member that has an adapter and draws no drafts, and each names its member. The client sends the same prompts with
the same sampling, the same number in hand, without streaming and without writing anything down. One job warms up, so
that both find adapters and prefixes in the server's memory; then the two take turns. A job's time is counted from when
its council is open.

``tokens_per_s_ratio``: job over client, median of the rounds. The last line is JSON.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import openai
from served import request, served

from consilium import Council, Job
from consilium.members.catalogue import Catalogue, Member
from consilium.settings import data_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """All rows, once."""

    seconds: float
    tokens: int
    """That were spoken."""

    @property
    def tokens_per_s(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds


Row = tuple[Member, str]


def house_rows(data: Path, catalogue: Catalogue, count: int) -> list[Row]:
    """Return test requests of the members that have some and say what they draw first, in turn."""
    trained = [member for member in catalogue.members.values() if member.adapter and (data / member.name).is_dir()]
    members = [member for member in trained if member.persona.sampling.drafts_drawn == 1]
    each = {member.name: (data / member.name / "test.jsonl").open(encoding="utf-8") for member in members}
    return [(members[n % len(members)], _next(each[members[n % len(members)].name])) for n in range(count)]


def _next(lines: Iterator[str]) -> str:
    return str(json.loads(next(lines))["input"])


async def by_client(url: str, rows: list[Row], concurrency: int) -> Pass:
    """Send the rows with the client alone."""
    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=600)
    left, tokens = iter(rows), 0

    async def work() -> None:
        nonlocal tokens
        for member, message in left:
            answer = await client.chat.completions.create(**request(member, message))
            tokens += answer.usage.completion_tokens if answer.usage else 0

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
    return Pass(seconds=time.perf_counter() - started, tokens=tokens)


async def by_job(url: str, rows: list[Row], concurrency: int) -> Pass:
    """Answer the rows with a job, in a fresh ledger."""
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        lines = [json.dumps({"message": message, "member": member.name}) for member, message in rows]
        (folder / "in.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        council = Council.open(
            engine="vllm", base_url=url, database=f"sqlite:///{folder / 'ledger.db'}", deadline_s=600.0
        )
        job = Job(
            council,
            input=folder / "in.jsonl",
            output=folder / "out.jsonl",
            columns={"model": "member"},
            concurrency=concurrency,
        )
        async for result in job.run():
            assert result.error is None, result
        assert job.index is not None
        return Pass(seconds=job.index.seconds, tokens=job.index.completion_tokens)


async def measured(url: str, rows: list[Row], asked: argparse.Namespace) -> dict[str, float]:
    """Let the two take turns."""
    await by_job(url, rows, asked.concurrency)
    ratios, rates = [], []
    for number in range(asked.rounds):
        ways = [by_client, by_job] if number % 2 else [by_job, by_client]
        done = {way: await way(url, rows, asked.concurrency) for way in ways}
        ratios.append(done[by_job].tokens_per_s / done[by_client].tokens_per_s)
        rates.append(done[by_client].tokens_per_s)
        print("   ".join(f"{way.__name__} {found.tokens} in {found.seconds:.1f} s" for way, found in done.items()))
    return {
        "tokens_per_s_ratio": statistics.median(ratios),
        "tokens_per_s_ratio_least": min(ratios),
        "tokens_per_s_ratio_most": max(ratios),
        "client_tokens_per_s": statistics.median(rates),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=16)
    asked = parser.parse_args()
    catalogue = Catalogue.load(data_folder("personas"))
    rows = house_rows(asked.data, catalogue, asked.rows)
    with served(catalogue, asked.concurrency) as url:
        figures = asyncio.run(measured(url, rows, asked))
    print(json.dumps({**{name: round(figure, 3) for name, figure in figures.items()}, "rows": len(rows)}))


if __name__ == "__main__":
    main()
