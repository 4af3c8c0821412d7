"""What a turn costs beyond its tokens: the whole turn with an engine that answers at once.

usage: python benchmarks/turn_overhead.py [--turns 200] [--seats 3]

Route, three seats, verdict and every durable ledger write (SQLite on the disk of the current folder, WAL,
synchronous=FULL) are in the figure; tokens are not, because the scripted engine answers at once. Beside it, in the
same run: a bare five-node LangGraph with the same fan-out, without saver, and with LangGraph's SQLite saver at each
durability. Prints milliseconds, medians; the last line is JSON.
"""

import argparse
import asyncio
import json
import operator
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

from consilium.council.checkpoints import open_saver
from consilium.council.council import Council
from consilium.engines.scripted import ScriptedEngine
from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Decision, Request, certain, shares
from consilium.settings import data_folder

MEMBERS = ["operator", "dispatcher", "philosopher", "cynic"]


class EvenRouter:
    """Seats the first members of the catalogue, in no time."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def digest(self) -> str:
        """Return a constant."""
        return "0" * 64

    async def route(self, request: Request) -> Decision:
        """Seat as many as may sit."""
        self._names = names = self._names or list(Catalogue.load(data_folder("personas")).members)
        scores = {name: 1 / len(names) for name in names}
        seats = shares(scores, names[: request.seats])
        return Decision(
            router="even", digest=self.digest(), scores=scores, seats=seats,
            propensities=certain(scores, seats), abstained=False,
        )  # fmt: skip


async def timed(turns: int, once: Callable[[int], Awaitable[object]]) -> list[float]:
    """Return the milliseconds of each of ``turns`` calls, after ten that do not count."""
    spans = []
    for index in range(turns + 10):
        started = time.perf_counter()
        await once(index)
        spans.append((time.perf_counter() - started) * 1_000)
    return spans[10:]


async def council_ms(folder: Path, turns: int, seats: int) -> list[float]:
    """Time whole turns of a council."""
    names = list(Catalogue.load(data_folder("personas")).members)
    engine = ScriptedEngine({name: f"{name} has spoken" for name in names})
    council = Council.open(
        engine=engine, router=EvenRouter(), database=f"sqlite:///{folder / 'ledger.db'}", seats=seats
    )
    async with council:
        return await timed(turns, lambda index: council.ask(f"question {index}"))


class _State(TypedDict, total=False):
    said: Annotated[list[str], operator.add]


@asynccontextmanager
async def _bare_graph(saver_file: Path | None, saved: bool, seats: int) -> AsyncIterator[Any]:
    async def node(state: _State) -> dict[str, list[str]]:
        return {"said": ["x"]}

    graph = StateGraph(_State)
    for name in ("route", "speak", "deliberate", "conclude", "record"):
        graph.add_node(name, node)
    graph.add_edge(START, "route")
    graph.add_conditional_edges("route", lambda _state: [Send("speak", {})] * seats, ["speak"])
    for before, after in (("speak", "deliberate"), ("deliberate", "conclude"), ("conclude", "record"), ("record", END)):
        graph.add_edge(before, after)
    async with open_saver(saver_file) as saver:
        yield graph.compile(checkpointer=saver if saved else None)


async def bare_ms(folder: Path, turns: int, seats: int, durability: str | None) -> list[float]:
    """Time the bare graph; ``durability`` None runs it without a saver."""
    file = folder / f"{durability}.db"
    async with _bare_graph(file, durability is not None, seats) as graph:
        options = {"durability": durability} if durability else {}
        return await timed(
            turns, lambda index: graph.ainvoke({}, config={"configurable": {"thread_id": str(index)}}, **options)
        )


async def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--seats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        figures = {"turn": await council_ms(folder, arguments.turns, arguments.seats)}
        for durability in (None, "exit", "async", "sync"):
            key = f"bare_graph_{durability or 'unsaved'}"
            figures[key] = await bare_ms(folder, arguments.turns, arguments.seats, durability)
    medians = {key: round(statistics.median(spans), 2) for key, spans in figures.items()}
    p95 = round(statistics.quantiles(figures["turn"], n=20)[18], 2)
    for key, median in medians.items():
        print(f"{key:<20} {median:>7.2f} ms")
    print(json.dumps({"p50_ms": medians.pop("turn"), "p95_ms": p95, **medians, "seats": arguments.seats}))


if __name__ == "__main__":
    asyncio.run(main())
