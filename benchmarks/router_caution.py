"""What caution buys and costs: a router seats as if work were nobody's so many times likelier than it says.

usage: python benchmarks/router_caution.py --data DIR [--data DIR] --more DIR [--router FILE] [--rows 40]
       [--caution 1 4 16] [--work storage/evaluation]

*seated*: how often the right member sits first at the skills' requests as they come; *base instead*: how often the
fallback does. *of the oracle's*: what those who sit earn on ``--rows`` rows of each skill's, as a share of what its own
member does. *more than base*: regret at unseen work beyond that of seating the base always, in nats a token, with its
95 % interval. Answers are kept, as those of ``consilium eval router`` are, and shared with them. Last line JSON.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean

import torch

from consilium.engines.embedded.engine import EmbeddedEngine
from consilium.evaluation.answers import Answers
from consilium.evaluation.bootstrap import Interval
from consilium.evaluation.markdown import nats, percent, table
from consilium.evaluation.seating import foreign, of_oracle, together, worth
from consilium.evaluation.tasks import Tasks
from consilium.evaluation.unseen import unseen_rows
from consilium.members.base import BUILT_IN, open_base
from consilium.members.catalogue import Catalogue
from consilium.routing.cascade import Cascade
from consilium.routing.regret import Regret
from consilium.routing.requests import gather
from consilium.routing.router_file import read_router
from consilium.settings import Settings
from consilium.training.data import data_of

CAUTIONS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one caution costs, and what it saves; shares are of 1."""

    seated: float
    instead: float
    of_oracle: float | None
    more_than_base: Interval


class Seats:
    """Decides anew under any caution what a router has scored once.

    Args:
        router: fitted, and heard.
        regret: what its file says of what seats may lose.
    """

    def __init__(self, router: Cascade, regret: Regret) -> None:
        self._router = router
        self._regret = regret
        self._scored: dict[str, list[float]] = {}

    def first(self, messages: Sequence[str], caution: float) -> list[str]:
        """Return who sits first at each message."""
        for message in messages:
            if message not in self._scored:
                self._scored[message] = list(self._router.scores(message).scores.values())
        scores = torch.tensor([self._scored[message] for message in messages])
        seats = replace(self._regret, caution=torch.tensor(caution)).first(scores)
        return [self._router.card.members[place] for place in seats.tolist()]


async def costs(arguments: argparse.Namespace) -> dict[float, Cost]:
    """Return by caution what it costs."""
    settings = Settings.load()
    catalogue = Catalogue.load(settings.personas)
    fallback, file = catalogue.fallback, read_router(arguments.router)
    seats = Seats(Cascade(file, open_base(BUILT_IN, cache=settings.cache_dir)), Regret.from_tensors(file.tensors))
    raw = gather(catalogue, arguments.data, arguments.more).trials["raw"]
    members = [each for each in catalogue.members.values() if each.adapter and data_of(each, arguments.data)]
    reader = Tasks(members, arguments.data, sample=arguments.rows)
    tasks = [reader.read(member) for member in members]
    unseen = unseen_rows(arguments.more, arguments.rows)
    found = {}
    base = open_base(settings.base, cache=settings.cache_dir)
    async with EmbeddedEngine(base, catalogue, precision=settings.precision) as engine:
        answers = Answers(engine, arguments.work / "answers.jsonl")
        for caution in arguments.caution:
            sits = seats.first([each.message for each in raw], caution)
            said = {task.name: seats.first([row.request for row in task.spoken], caution) for task in tasks}
            paid = await worth(answers, tasks, said, catalogue)
            lost = [
                await foreign(answers, rows, {"router": seats.first([row.request for row in rows], caution)}, catalogue)
                for rows in unseen.values()
            ]
            found[caution] = Cost(
                seated=mean(name == each.member for name, each in zip(sits, raw, strict=True)),
                instead=mean(name == fallback for name in sits),
                of_oracle=of_oracle(paid),
                more_than_base=together(lost).over("router", fallback),
            )
            print(*_line(caution, found[caution]), sep="  ", file=sys.stderr)
    return found


def main() -> None:
    """Decide under each caution, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--more", type=Path, required=True)
    parser.add_argument("--router", type=Path, default=Path("personas/router.safetensors"))
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--caution", type=float, nargs="+", default=CAUTIONS)
    parser.add_argument("--work", type=Path, default=Path("storage/evaluation"))
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    found = asyncio.run(costs(arguments))
    print(
        table(
            ("caution", "seated", "base instead", "of the oracle's", "more than base"),
            [_line(caution, each) for caution, each in found.items()],
        )
    )
    print(json.dumps({str(caution): asdict(each) for caution, each in found.items()}))


def _line(caution: float, cost: Cost) -> tuple[str, ...]:
    share = "" if cost.of_oracle is None else percent(cost.of_oracle)
    return f"{caution:g}", percent(cost.seated), percent(cost.instead), share, nats(cost.more_than_base)


if __name__ == "__main__":
    main()
