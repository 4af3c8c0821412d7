"""What more seats cost, and what was said before: whole turns of the council on the real model.

usage: python benchmarks/turn_batching.py [--turns 9] [--tokens 24] [--history 1000]

Turns of one, three and eight seats alternate in one run, so that a slower machine slows all. The seats are pinned, each
has an adapter of its own and speaks exactly --tokens tokens; every turn has a message of its own, so that of what was
read before only the members' system prompts serve again. ``ratio`` and ``ratio8`` are medians of the turn of three, of
eight, over the turn of one beside it. ``second_first_token`` is the time to the first token of the second turn in a
session over that of the first, whose message has --history tokens. Prints seconds; the last line is JSON.
"""

import argparse
import asyncio
import json
import statistics
from dataclasses import replace

from crew import crew, speaking

from consilium.council.council import Council
from consilium.council.turn import Turn
from consilium.ledger.memory import MemoryLedger
from consilium.threads import in_passing

SEATS = (1, 3, 8)
QUESTION = "Case {n}: what is the difference between a good man and a useful one, and which should a city honour?"


def assembled(tokens: int) -> tuple[Council, list[str]]:
    """Return a council of eight adapted members and the bare base, and the names of the eight."""
    parts = Council.open(ledger=MemoryLedger(), deadline_s=600.0).parts
    members = [speaking(member, tokens) for member in in_passing(lambda: crew(max(SEATS)))]
    catalogue = replace(parts.catalogue, members={**parts.catalogue.members, **{m.name: m for m in members}})
    from consilium.engines.embedded.engine import EmbeddedEngine
    from consilium.members.base import open_base
    from consilium.routing.centroid import CentroidRouter
    from consilium.routing.pinned import PinnedRouter

    base = open_base(parts.settings.base, cache=parts.settings.cache_dir)
    router = PinnedRouter(catalogue, CentroidRouter(base, catalogue))
    parts = replace(parts, catalogue=catalogue, engine=EmbeddedEngine(base, catalogue), router=router)
    return Council(parts), [member.name for member in members]


async def rounds(turns: int, tokens: int) -> list[dict[int, Turn]]:
    """Return turns by their number of seats; the one seat is each of the members in turn."""
    council, names = assembled(tokens)
    found = []
    async with council:
        await council.ask(QUESTION.format(n="zero"), members=names)  # warms up
        for index in range(turns):
            shifted = names[index % len(names) :] + names[: index % len(names)]
            asked = {
                seats: await council.ask(QUESTION.format(n=f"{index}-{seats}"), members=shifted[:seats])
                for seats in SEATS
            }
            if {seat.statement.completion_tokens for turn in asked.values() for seat in turn.seats} != {tokens}:
                raise SystemExit("a seat did not speak all its tokens")
            found.append(asked)
    return found


async def first_tokens(sessions: int, history: int) -> list[tuple[float, float]]:
    """Return milliseconds to the first token, of the first turn and of the second, of some sessions."""
    council, names = assembled(24)
    found = []
    async with council:
        await council.ask(QUESTION.format(n="zero"), members=names[:1])  # warms up
        for index in range(sessions):
            session = council.session()
            long = f"Case {index}: " + "ship " * (history - 20) + "and what of the harbour?"
            first = await session.ask(long, members=names[:1])
            second = await session.ask("And what of the sea?", members=names[:1])
            found.append((first.seats[0].statement.first_token_ms, second.seats[0].statement.first_token_ms))
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--history", type=int, default=1_000)
    arguments = parser.parse_args()
    found = asyncio.run(rounds(arguments.turns, arguments.tokens))
    sessions = asyncio.run(first_tokens(3, arguments.history))
    for asked in found:
        print("   ".join(f"{seats} seats {turn.latency_ms / 1_000:5.2f} s" for seats, turn in asked.items()))
    for first, second in sessions:
        print(f"first token after {first / 1_000:.2f} s, in the second turn after {second / 1_000:.2f} s")
    seconds = {f"seats{n}_s": statistics.median(asked[n].latency_ms for asked in found) / 1_000 for n in SEATS}
    figures = {
        "ratio": statistics.median(asked[3].latency_ms / asked[1].latency_ms for asked in found),
        "ratio8": statistics.median(asked[8].latency_ms / asked[1].latency_ms for asked in found),
        "second_first_token": statistics.median(second / first for first, second in sessions),
        **seconds,
        "turns": len(found),
        "tokens": arguments.tokens,
    }
    print(json.dumps({name: round(figure, 3) for name, figure in figures.items()}))


if __name__ == "__main__":
    main()
