"""`Evaluation`: a suite's arms heard on the same rows, graded, compared, and reported."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from filelock import FileLock, Timeout

from consilium.council.council import Council
from consilium.engines.protocol import Prompt
from consilium.errors import BadSuite, EngineLost, JobError
from consilium.evaluation.kept import Kept
from consilium.evaluation.pictures import empty
from consilium.evaluation.remembering import Paid, RememberingEngine
from consilium.jobs.frames import import_pyarrow
from consilium.jobs.pacing import Pace, PacedEngine
from consilium.scripts.judge import Judge
from consilium.suites.cases import Case, chosen
from consilium.suites.findings import Findings, compared
from consilium.suites.grade import Grade, Grader
from consilium.suites.hearing import Asked, Hearing
from consilium.suites.report import write_report
from consilium.suites.rounds import Rounds
from consilium.suites.suite import Suite
from consilium.suites.suite_file import BEST_VOTE, ORACLE

if TYPE_CHECKING:
    import pandas
    import pyarrow

STATEMENTS_FILE = "statements.jsonl"
AT_ONCE = 32
"""Statements that are asked for at one time, and cases in hand."""

Work: TypeAlias = Callable[[Case], Coroutine[Any, Any, list[Grade]]]
"""Hears some arms on a case."""


@dataclass(slots=True, kw_only=True)
class Forecast:
    """What an arm would cost beyond those before it."""

    arm: str
    statements: int = 0
    prompt_tokens: int = 0
    most_completion_tokens: int = 0
    """As many as may be spoken."""


class Evaluation:
    """Hears every arm of a suite on every row; run again after anything at all, it pays for what is missing only.

    Args:
        suite: what is compared.
        output: a folder for the report and for all statements, which are known by what was asked of whom: other
            suites and newer members may share it.
        sample: use so many rows, drawn by the seed.
        token_budget: once the statements in the folder cost so many tokens none is begun; default: the suite's.
        at_once: statements that are asked for at one time.
        command: that made the evaluation, for the report.
    """

    def __init__(
        self,
        suite: Suite,
        output: Path | str,
        *,
        sample: int | None = None,
        token_budget: int | None = None,
        at_once: int = AT_ONCE,
        command: str = "",
    ) -> None:
        if sample is not None and sample < 1:
            raise BadSuite(f"sample={sample!r}: give at least one row.")
        self.suite = suite
        self.output = Path(output)
        self.findings: Findings | None = None
        """What came of it, once it has reached its end."""
        self.stopped: str | None = None
        """Why it did not."""
        self.paid = Paid()
        """What all statements in the folder have cost."""
        self._sample = sample
        self._budget = token_budget or suite.file.limits.tokens
        self._at_once = at_once
        self._command = command
        self._grades: dict[tuple[str, str], Grade] = {}

    @property
    def grades(self) -> tuple[Grade, ...]:
        """All grades so far."""
        return tuple(self._grades.values())

    @property
    def rows(self) -> int:
        """How many rows are used."""
        return min(self._sample or len(self.suite.cases), len(self.suite.cases))

    @property
    def expected(self) -> int:
        """How many grades there will be."""
        return self.rows * len({*self.suite.alone, *self.suite.file.arms})

    def prepare(self) -> None:
        """See whether a report can be made in the folder.

        Raises:
            JobError: it cannot be written, or another evaluation uses it.
            MissingExtra: matplotlib is not installed.
        """
        empty(1, 1)
        with self._locked():
            pass

    async def run(self, council: Council) -> AsyncGenerator[Grade]:
        """Yield grades as they come, and write the report once all are there.

        Args:
            council: see `Suite.open`; it must not have been started.

        Raises:
            BadSuite: the council has other members.
            JobError, MissingExtra: as `prepare`; nothing was paid.
            EngineLost: the engine answers nobody any more; run it again.
        """
        self.prepare()
        with self._locked():
            engine = self._remembering(council, budget=self._budget)
            self.paid, self.findings, self.stopped = engine.paid, None, None
            self._grades.clear()
            cases = self._cases(council)
            try:
                async with (
                    Council(replace(council.parts, engine=engine)) as remembering,
                    aclosing(self._all(cases, self._rounds(remembering), engine)) as grades,
                ):
                    async for grade in grades:
                        yield grade
            except EngineLost as error:
                if not engine.is_spent:
                    raise
                self.stopped = str(error)
                return
            self.findings = Findings(
                suite=self.suite,
                cases=cases,
                grades=dict(self._grades),
                engine=engine.describe(),
                seed=council.parts.settings.seed,
            )
            write_report(self.findings, self.paid, self.output, command=self._command)

    async def forecast(self, council: Council) -> list[Forecast]:
        """Return what each arm would cost at most beyond those before it and what is in the folder; nobody speaks.

        A chair that has yet to be told something counts with the longest that it may be. Raises `BadSuite` as `run`.
        """
        engine = self._remembering(council, budget=None)
        async with Council(replace(council.parts, engine=engine)) as remembering:
            rounds, planned = self._rounds(remembering), set[str]()
            found = {arm: Forecast(arm=arm) for arm in (*rounds.alone, *rounds.arms)}
            for case in self._cases(council):
                async for arm, asked in rounds.plan(case):
                    prompt, more = _prompted(rounds.hearing, engine, case, asked)
                    if engine.knows(prompt) or (key := engine.key(prompt)) in planned:
                        continue
                    planned.add(key)
                    found[arm].statements += 1
                    found[arm].prompt_tokens += more + await engine.count_tokens(prompt.messages)
                    found[arm].most_completion_tokens += prompt.sampling.most_spoken
        return list(found.values())

    def to_arrow(self) -> "pyarrow.Table":
        """Return the grades as an Arrow table, a column for each metric. Raises `MissingExtra` without pyarrow."""
        import_pyarrow()
        import pyarrow

        metrics = dict.fromkeys(metric for case in self.suite.cases for metric in case.part.metrics)
        lines = [
            {name: value for name, value in asdict(grade).items() if name != "scores"}
            | {metric: grade.scores.get(metric) for metric in metrics}
            for grade in self.grades
        ]
        return pyarrow.Table.from_pylist(lines)

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the grades as a data frame. Raises `MissingExtra` without pyarrow."""
        return self.to_arrow().to_pandas()

    def __repr__(self) -> str:
        end = "finished" if self.findings else self.stopped or "not finished"
        return f"<Evaluation {self.suite.file.title!r}: {end}, {len(self._grades)} grades>"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self.output / ".lock")
        try:
            self.output.mkdir(parents=True, exist_ok=True)
            (self.output / STATEMENTS_FILE).open("ab").close()
            lock.acquire(timeout=0)
        except Timeout as error:
            raise JobError(f"another evaluation uses {self.output}. Wait for it, or name another folder.") from error
        except OSError as error:
            raise JobError(
                f"{self.output} cannot be written: {error.strerror or error}. Name a folder that can be."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _remembering(self, council: Council, *, budget: int | None) -> RememberingEngine:
        weights, own = (
            {name: member.content_name for name, member in catalogue.members.items()}
            for catalogue in (council.parts.catalogue, self.suite.catalogue)
        )
        if weights != own:
            raise BadSuite("this council has other members than the suite. Open it with `suite.open()`.")
        paced = PacedEngine(council.parts.engine, Pace(start=min(16, self._at_once), most=self._at_once))
        return RememberingEngine(paced, Kept(self.output / STATEMENTS_FILE), weights, token_budget=budget)

    def _rounds(self, council: Council) -> Rounds:
        hearing = Hearing(file=self.suite.file, council=council, members=self.suite.members)
        suite = self.suite
        return Rounds(hearing=hearing, arms=suite.file.arms, alone=suite.alone, fallback=suite.catalogue.fallback)

    def _cases(self, council: Council) -> tuple[Case, ...]:
        return chosen(self.suite.cases, self._sample, seed=council.parts.settings.seed)

    async def _all(self, cases: Sequence[Case], rounds: Rounds, engine: RememberingEngine) -> AsyncGenerator[Grade]:
        async with aclosing(self._round(cases, rounds.first, engine)) as grades:
            async for grade in grades:
                yield grade
        if not {BEST_VOTE, ORACLE} & set(rounds.arms):
            return
        averages = compared(rounds.alone, cases, self._grades).averages()

        async def second(case: Case) -> list[Grade]:
            return await rounds.second(case, self._grades, averages)

        async with aclosing(self._round(cases, second, engine)) as grades:
            async for grade in grades:
                yield grade

    async def _round(self, cases: Sequence[Case], work: Work, engine: RememberingEngine) -> AsyncGenerator[Grade]:
        """Yield grades case by case, as they come."""
        grader = Grader(judge=Judge(engine=engine, catalogue=self.suite.catalogue), judges=self.suite.file.judges)
        gate = asyncio.Semaphore(self._at_once)

        async def graded(case: Case) -> list[Grade]:
            async with gate:
                answers = await work(case)
                found = [await grader.graded(case, answer) for answer in answers]
            if engine.lost is not None:  # some seats of a turn may have been heard without the others
                raise engine.lost
            return found

        tasks = [asyncio.create_task(graded(case)) for case in cases]
        try:
            for task in asyncio.as_completed(tasks):
                for grade in await task:
                    self._grades[grade.arm, grade.case] = grade
                    yield grade
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _prompted(hearing: Hearing, engine: RememberingEngine, case: Case, asked: Asked) -> tuple[Prompt, int]:
    """Return a prompt as far as it is known, and at most how many tokens it lacks: what seats have yet to tell."""
    if not asked.over:
        return hearing.prompt(case, asked), 0
    seats = [hearing.prompt(case, Asked(member=name)) for name in asked.over]
    told = [engine.recalled(seat) for seat in seats]
    lacks = sum(seat.sampling.max_tokens for seat, spoken in zip(seats, told, strict=True) if spoken is None)
    return hearing.chair_prompt(case, asked, [spoken.text if spoken else "" for spoken in told]), lacks
