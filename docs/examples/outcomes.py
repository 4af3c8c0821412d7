"""Ask held-out rows with some exploration, and record what the house metrics say came of each turn.

usage: python docs/examples/outcomes.py DATA [ROWS]

DATA is a folder with one for each member; ROWS are asked of each of four members' kinds of work, 60 if it is not said.
"""

import asyncio
import sys
from pathlib import Path

from consilium import Council
from consilium.evaluation.tasks import Tasks

WORKS = ("dispatcher", "empath", "librarian", "proofreader")


async def ask_and_score(data: Path, rows: int) -> None:
    """Put the rows to the council, as many at one time as its engine takes, and score what it concluded."""
    async with Council.open(exploration=0.3, seats=1) as council:
        catalogue = council.parts.catalogue
        tasks = Tasks(catalogue.members.values(), [data], sample=rows)
        for name in WORKS:
            task = tasks.read(catalogue.get(name))
            turns = await asyncio.gather(*(council.ask(row.request, max_tokens=48) for row in task.spoken))
            scores = task.work.per_row([turn.verdict.text for turn in turns], task.spoken)
            for turn, score in zip(turns, scores, strict=True):
                await council.outcome(turn, score=score, source="metric")
            print(f"{name:<12} {len(turns)} turns, mean score {sum(scores) / len(scores):.2f}")


if __name__ == "__main__":
    asyncio.run(ask_and_score(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 60))
