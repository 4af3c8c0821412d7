"""What a durable write of the ledger costs, kind by kind, and what writing together saves.

usage: python benchmarks/ledger_commit.py [--turns 300]

SQLite on the disk of the current folder, WAL, synchronous=FULL. ``statements_together`` are three seats' statements
recorded concurrently, as a turn does it; ``statements_in_turn`` are the same three, each awaited before the next.
The two alternate, so that a busy machine slows both. Prints medians in milliseconds; the last line is JSON.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from consilium.ledger.entries import (
    ClosingEntry,
    DecisionEntry,
    MemberEntry,
    OutcomeEntry,
    SeatEntry,
    StatementEntry,
    VerdictEntry,
)
from consilium.ledger.sql import SqlLedger

SEATS = 3
MEMBERS = [
    MemberEntry(content_name=f"member-{n}", name=f"member-{n}", group="g", adapter_digest=None, base="tiny")
    for n in range(SEATS)
]


class Stopwatch:
    """Collects spans by name, in milliseconds."""

    def __init__(self) -> None:
        self.spans: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        started = time.perf_counter()
        yield
        self.spans[name].append((time.perf_counter() - started) * 1_000)


def decision(turn_id: str) -> DecisionEntry:
    """Return a decision that seats all members."""
    seats = tuple(
        SeatEntry(
            turn_id=turn_id,
            number=n,
            member=member.name,
            content_name=member.content_name,
            role="speaker",
            weight=1 / 3,
        )
        for n, member in enumerate(MEMBERS)
    )
    shares = {member.name: 1 / 3 for member in MEMBERS}
    return DecisionEntry(
        turn_id=turn_id, router="even", router_digest="0" * 64, scores=shares, propensities=shares, abstained=False,
        seats=seats,
    )  # fmt: skip


def statement(turn_id: str, seat: int) -> StatementEntry:
    """Return a statement of about a hundred tokens."""
    return StatementEntry(
        turn_id=turn_id, seat=seat, attempt=0, text="words " * 100, error=None, error_message=None, finish="stop",
        prompt_tokens=80, completion_tokens=100, first_token_ms=1.0, latency_ms=2.0, engine="none",
    )  # fmt: skip


async def one_turn(ledger: SqlLedger, timed: Stopwatch, index: int) -> None:
    """Write a whole turn; every other one records its statements together."""
    turn = f"turn-{index}"
    with timed("admit"):
        await ledger.admit(
            session_id=f"session-{index % 10}", turn_id=turn, message="words " * 20, options={"seats": 3}
        )
    with timed("decision_and_seats"):
        await ledger.record(decision(turn))
    if index % 2:
        with timed("statements_together"):
            async with asyncio.TaskGroup() as group:
                for seat in range(SEATS):
                    group.create_task(ledger.record(statement(turn, seat)))
    else:
        with timed("statements_in_turn"):
            for seat in range(SEATS):
                with timed("statement"):
                    await ledger.record(statement(turn, seat))
    verdict = VerdictEntry(
        turn_id=turn, text="words " * 100, method="best", source_seat=0, agreement=1 / 3, dissent=(1, 2)
    )
    closing = ClosingEntry(turn_id=turn, status="concluded")
    if index % 4 < 2:
        with timed("verdict_and_closing"):
            await ledger.record(verdict, closing)
    else:
        with timed("verdict"):
            await ledger.record(verdict)
        with timed("closing"):
            await ledger.record(closing)
    with timed("outcome"):
        await ledger.record(OutcomeEntry(key=turn, turn_id=turn, seat=None, score=1.0, source="user"))
    with timed("load"):
        await ledger.load(turn)


@asynccontextmanager
async def fresh_ledger() -> AsyncIterator[SqlLedger]:
    """Yield an open ledger on the disk of the current folder."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        async with SqlLedger(f"sqlite:///{Path(folder) / 'ledger.db'}") as ledger:
            await ledger.record(*MEMBERS)
            yield ledger


async def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=300)
    arguments = parser.parse_args()
    async with fresh_ledger() as ledger:
        for index in range(12):
            await one_turn(ledger, Stopwatch(), -1 - index)  # not counted
        timed = Stopwatch()
        for index in range(arguments.turns):
            await one_turn(ledger, timed, index)
    medians = {name: round(statistics.median(spans), 2) for name, spans in timed.spans.items()}
    for name, median in medians.items():
        print(f"{name:<20} {median:>7.2f} ms")
    saved = 1 - medians["statements_together"] / medians["statements_in_turn"]
    print(json.dumps({"p50_ms": medians, "saved_by_writing_together": round(saved, 2), "turns": arguments.turns}))


if __name__ == "__main__":
    asyncio.run(main())
