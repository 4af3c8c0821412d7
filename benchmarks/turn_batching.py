"""What more seats cost: a turn of three seats against a turn of one, at equal tokens a seat, on the real model.

usage: python benchmarks/turn_batching.py [--turns 6] [--tokens 24]

The seats are pinned, each speaks exactly --tokens tokens, and turns of one and of three seats alternate in one run, so
that a slower machine slows both. Prints seconds; the last line is
JSON: ``ratio`` is the median over pairs of the turn of three over the turn of one.
"""

import argparse
import asyncio
import json
import statistics
from dataclasses import replace

from consilium.council.council import Council
from consilium.council.turn import Turn
from consilium.ledger.memory import MemoryLedger
from consilium.members.catalogue import Catalogue

MEMBERS = ("philosopher", "cynic", "dispatcher")
QUESTIONS = (
    "What is the difference between a good man and a useful one, and which of the two should a city honour?",
    "Find me a quiet restaurant by the sea for two people tomorrow evening and play some old jazz on the way there.",
    "Define patience, give me your view of those who praise it, and say whether you have ever met with it.",
)


def speaking(catalogue: Catalogue, tokens: int) -> Catalogue:
    """Return the catalogue with members that always speak ``tokens`` tokens, whatever ends they think of."""
    members = {}
    for name, member in catalogue.members.items():
        sampling = member.persona.sampling.model_copy(update={"min_tokens": tokens, "max_tokens": tokens, "stop": ()})
        members[name] = replace(member, persona=member.persona.model_copy(update={"sampling": sampling}))
    return replace(catalogue, members=members)


async def alternate(turns: int, tokens: int) -> list[tuple[Turn, Turn]]:
    """Return pairs of turns, of one and of three seats; the one seat is each of the three in turn."""
    pairs: list[tuple[Turn, Turn]] = []
    parts = Council.open(ledger=MemoryLedger(), deadline_s=600.0).parts
    async with Council(replace(parts, catalogue=speaking(parts.catalogue, tokens))) as council:
        await council.ask(QUESTIONS[0], members=MEMBERS, max_tokens=2)  # warms up
        for index in range(turns):
            question = QUESTIONS[index // len(MEMBERS) % len(QUESTIONS)]
            one = await council.ask(question, members=[MEMBERS[index % len(MEMBERS)]], max_tokens=tokens)
            three = await council.ask(question, members=MEMBERS, max_tokens=tokens)
            if {seat.statement.completion_tokens for turn in (one, three) for seat in turn.seats} != {tokens}:
                raise SystemExit("a seat did not speak all its tokens")
            pairs.append((one, three))
    return pairs


async def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=24)
    arguments = parser.parse_args()
    pairs = await alternate(arguments.turns, arguments.tokens)
    for one, three in pairs:
        ratio = three.latency_ms / one.latency_ms
        print(f"one seat {one.latency_ms / 1_000:6.2f} s   three {three.latency_ms / 1_000:6.2f} s   ratio {ratio:.2f}")
    figures = {
        "ratio": round(statistics.median(three.latency_ms / one.latency_ms for one, three in pairs), 3),
        "one_seat_s": round(statistics.median(one.latency_ms for one, _ in pairs) / 1_000, 3),
        "three_seats_s": round(statistics.median(three.latency_ms for _, three in pairs) / 1_000, 3),
        "pairs": len(pairs),
        "tokens": arguments.tokens,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(main())
