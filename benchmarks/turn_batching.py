"""What more seats cost: a turn of three seats against a turn of one, at equal tokens a seat, on the real model.

usage: python benchmarks/turn_batching.py [--turns 6] [--tokens 24]

The seats are pinned, each speaks exactly --tokens tokens (a turn in which one ended earlier does not count), and turns
of one and of three seats alternate in one run, so that a slower machine slows both. Prints seconds; the last line is
JSON: ``ratio`` is the median over pairs of the turn of three over the turn of one.
"""

import argparse
import asyncio
import json
import statistics

from consilium.council.council import Council
from consilium.council.turn import Turn
from consilium.ledger.memory import MemoryLedger

MEMBERS = ("philosopher", "cynic", "dispatcher")
QUESTIONS = (
    "What is the difference between a good man and a useful one, and which of the two should a city honour?",
    "Find me a quiet restaurant by the sea for two people tomorrow evening and play some old jazz on the way there.",
    "Define patience, give me your view of those who praise it, and say whether you have ever met with it.",
)


async def alternate(turns: int, tokens: int) -> list[tuple[Turn, Turn]]:
    """Return pairs of turns, of one and of three seats, in which every seat spoke all its tokens."""
    pairs: list[tuple[Turn, Turn]] = []
    async with Council.open(ledger=MemoryLedger(), deadline_s=600.0) as council:
        await council.ask(QUESTIONS[0], members=MEMBERS, max_tokens=2)  # warms up
        for index in range(turns * 3):
            question = QUESTIONS[index % len(QUESTIONS)]
            one = await council.ask(question, members=[MEMBERS[index % len(MEMBERS)]], max_tokens=tokens)
            three = await council.ask(question, members=MEMBERS, max_tokens=tokens)
            spoken = {seat.statement.completion_tokens for turn in (one, three) for seat in turn.seats}
            if spoken == {tokens}:
                pairs.append((one, three))
            if len(pairs) == turns:
                break
    return pairs


async def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--tokens", type=int, default=24)
    arguments = parser.parse_args()
    pairs = await alternate(arguments.turns, arguments.tokens)
    if not pairs:
        raise SystemExit("no pair of turns spoke all its tokens; lower --tokens")
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
