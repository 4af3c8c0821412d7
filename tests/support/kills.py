"""Kill a council at work, again and again, and see whether its ledger has lost or doubled anything.

usage: python -m tests.support.kills [--kills 200] [--controls 30] [--seed 0] [--write docs/results/durability.md]

Each trial is a child process that plays two sessions of two turns at the same time (best, vote, chair; outcomes under
keys) and dies by SIGKILL at a seeded one of all its await and commit points. Four such trials are taken up by one
recovery, which is killed too at a seeded point, and then by another. All share one database. The engine is scripted,
whose answers are digests of all that a member heard; it writes down each call.
"""

import argparse
import asyncio
import hashlib
import multiprocessing
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import create_engine, select

from consilium.ledger.entries import UNFINISHED, TurnLog
from consilium.ledger.orm import OutcomeRow, StatementRow
from consilium.ledger.reading import pages
from consilium.ledger.sql import SqlLedger
from tests.support import crashing
from tests.support.personas import write_harbour
from tests.support.postgres import new_database, postgres_server

SIGKILLED = -signal.SIGKILL
TOGETHER = 4
"""Killed councils whose turns one recovery takes up."""


@dataclass(kw_only=True)
class Tally:
    """What was found after so many trials."""

    home: str
    ledger: str
    points: int = 0
    """Await and commit points of one uninterrupted run."""
    places: int = 0
    """Different names among them."""
    kills: int = 0
    recoveries_killed: int = 0
    accepted: int = 0
    lost: int = 0
    """Accepted turns that are not in the ledger, or did not end."""
    doubled: int = 0
    """Statements or outcomes beyond the first of their key."""
    paid_again: int = 0
    """Engine calls for a seat whose statement was recorded before the kill."""
    asked_again: int = 0
    """Engine calls for a seat that was asked before, and whose statement was not recorded when the process died."""
    other_verdicts: int = 0
    """Verdicts whose hash is not that of the uninterrupted run."""
    where: Counter[str] = field(default_factory=Counter)

    @property
    def faults(self) -> int:
        """What must be 0."""
        return self.lost + self.doubled + self.paid_again + self.other_verdicts


class Harness:
    """Runs trials against one kind of ledger in one database."""

    def __init__(self, home: str, kind: str, url: str, folder: Path) -> None:
        self._context = multiprocessing.get_context("fork")  # this process has everything imported, and no threads
        self._place: crashing.Place = (kind, url, folder)
        self.tally = Tally(home=home, ledger=kind)
        folder.mkdir(exist_ok=True)
        (folder / "personas").mkdir()
        write_harbour(folder / "personas")
        self._verdicts: dict[str, str] = {}
        self._points: list[str] = []

    def prepare(self) -> None:
        """Play once without a kill: it lists the points and says what the verdicts are."""
        assert self._run(crashing.play, 0, None) == 0
        self._points = (self._place[2] / "points").read_text().splitlines()
        self.tally.points, self.tally.places = len(self._points), len(set(self._points))
        self._verdicts = {crashing.untagged(log.turn.message): _hash(log) for log in self._logs()}
        assert len(self._verdicts) == sum(map(len, crashing.SESSIONS))
        if self._place[0] == "forgetful":
            _drop_keys(self._place[1])

    def trial(self, number: int, chance: random.Random) -> None:
        """Let a council begin its work, and kill it."""
        at = chance.randrange(len(self._points))
        if self._run(crashing.play, number, at) == SIGKILLED:
            self.tally.kills += 1
            self.tally.where[self._points[at]] += 1

    def take_up(self, trials: range, chance: random.Random) -> None:
        """Recover what those trials left; the first try is killed too."""
        calls = [call for number in trials for call in self._lines(f"paid-{number}-0")]
        for round_, at in enumerate((chance.randrange(len(self._points)), None), start=1):
            recorded = self._recorded()
            ended = self._run(crashing.recover, trials, round_, at)
            self.tally.recoveries_killed += ended == SIGKILLED
            assert ended == 0 or at is not None
            paid = self._lines(f"paid-{trials[0]}-{round_}")
            self.tally.paid_again += sum(call in recorded for call in paid)
            self.tally.asked_again += sum(call in calls and call not in recorded for call in paid)
            calls += paid

    def look(self, trials: int) -> Tally:
        """Compare what the ledger holds with what was accepted."""
        logs = {log.turn.id: log for log in self._logs()}
        for number in range(trials + 1):
            for turn_id in self._lines(f"accepted-{number}"):
                self.tally.accepted += 1
                log = logs.get(turn_id)
                if log is None or log.turn.status in UNFINISHED:
                    self.tally.lost += 1
                elif _hash(log) != self._verdicts[crashing.untagged(log.turn.message)]:
                    self.tally.other_verdicts += 1
        engine = create_engine(self._place[1])
        with engine.connect() as connection:
            said = connection.execute(select(StatementRow.turn_id, StatementRow.seat, StatementRow.attempt)).all()
            scored = connection.execute(select(OutcomeRow.turn_id)).all()
        engine.dispose()
        self.tally.doubled = len(said) - len(set(said)) + len(scored) - len(set(scored))
        return self.tally

    def _run(self, work: Callable[..., None], *arguments: object) -> int | None:
        child = self._context.Process(target=work, args=(self._place, *arguments))
        child.start()
        child.join(60)
        return child.exitcode

    def _logs(self) -> list[TurnLog]:
        async def read() -> list[TurnLog]:
            async with SqlLedger(self._place[1]) as ledger:
                return [log async for page in pages(ledger) for log in page]

        return asyncio.run(read())

    def _recorded(self) -> set[str | None]:
        engine = create_engine(self._place[1])
        with engine.connect() as connection:
            found = set(connection.execute(select(StatementRow.prompt_digest)).scalars())
        engine.dispose()
        return found

    def _lines(self, name: str) -> list[str]:
        file = self._place[2] / name
        return file.read_text().splitlines() if file.exists() else []


def _hash(log: TurnLog) -> str:
    verdict = log.verdict
    assert verdict is not None
    seats = [(seat.number, seat.member, seat.weight) for seat in log.seats]
    said = sorted({(entry.seat, entry.text) for entry in log.statements})
    answer = (verdict.text, verdict.method, verdict.source_seat, verdict.agreement, verdict.dissent, seats, said)
    return hashlib.sha256(repr(answer).encode()).hexdigest()


def _drop_keys(url: str) -> None:
    """Take all constraints off the statements of a SQLite ledger: the control's."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE unkeyed AS SELECT * FROM statements")
        connection.exec_driver_sql("DROP TABLE statements")
        connection.exec_driver_sql("ALTER TABLE unkeyed RENAME TO statements")
    engine.dispose()


def kill(home: str, kind: str, url: str, folder: Path, *, kills: int, seed: int) -> Tally:
    """Run so many trials; progress goes to stderr."""
    harness, chance = Harness(home, kind, url, folder), random.Random(seed)
    harness.prepare()
    number = 0
    while harness.tally.kills < kills:
        trials = range(number + 1, number + 1 + min(TOGETHER, kills - harness.tally.kills))
        for number in trials:
            harness.trial(number, chance)
        harness.take_up(trials, chance)
        print(f"{home}, {kind}: {harness.tally.kills} of {kills} kills", file=sys.stderr)
    return harness.look(number)


@contextmanager
def homes() -> Iterator[tuple[Path, str]]:
    """Yield a folder for SQLite files, and a PostgreSQL server."""
    with ExitStack() as stack:
        yield Path(stack.enter_context(tempfile.TemporaryDirectory())), stack.enter_context(postgres_server())


def page(tallies: list[Tally], kills: int, controls: int, seed: int) -> str:
    """Return the page of results."""
    lines = [
        "# Durability: a council killed at work",
        "",
        f"`python -m tests.support.kills --kills {kills} --controls {controls} --seed {seed} "
        "--write docs/results/durability.md`",
        "",
        *(__doc__ or "").split("\n\n", 2)[2].strip().splitlines(),
        "",
        "| home | ledger | points (places) | kills | recoveries killed | turns accepted | lost | doubled records "
        "| finished seats paid again | other verdicts | unfinished seats asked again |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {t.home} | {t.ledger} | {t.points} ({t.places}) | {t.kills} | {t.recoveries_killed} | {t.accepted} "
        f"| **{t.lost}** | **{t.doubled}** | **{t.paid_again}** | **{t.other_verdicts}** | {t.asked_again} |"
        for t in tallies
    ]
    lines += [
        "",
        'Rows other than "as shipped" are controls with a protection off, and must fail: *late* accepts a turn before',
        "it is recorded; *forgetful* has no unique key on statements and does not look up what was said.",
        "",
        "Where the processes died, all homes together:",
        "",
        "| point | kills |",
        "|---|--:|",
    ]
    where = sum((t.where for t in tallies if t.ledger == "as shipped"), Counter())
    lines += [f"| {name} | {count} |" for name, count in where.most_common()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run all rows; 1 where a protection failed, or a control did not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--controls", type=int, default=30, help="kills of each control")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    with homes() as (folder, server):
        rows = [
            ("SQLite", "as shipped", f"sqlite:///{folder / 'a.db'}", asked.kills),
            ("PostgreSQL", "as shipped", new_database(server), asked.kills),
            ("SQLite", "late", f"sqlite:///{folder / 'b.db'}", asked.controls),
            ("SQLite", "forgetful", f"sqlite:///{folder / 'c.db'}", asked.controls),
        ]
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            running = [
                pool.submit(kill, home, kind, url, folder / f"{home}-{kind}", kills=kills, seed=asked.seed)
                for home, kind, url, kills in rows
            ]
            tallies = [row.result() for row in running]
    text = page(tallies, asked.kills, asked.controls, asked.seed)
    print(text)
    if asked.write is not None:
        asked.write.write_text(text)
    return int(any((tally.faults > 0) == (tally.ledger == "as shipped") for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
