"""`Job`: rows through the council, each answered and paid once however often the job is cut off."""

import asyncio
import hashlib
import json
import time
import uuid
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from consilium.council.admission import is_torn
from consilium.council.council import Council
from consilium.council.options import COUNCIL, AskOptions, complete
from consilium.errors import BadRows, EngineLost, JobError, UnknownMember
from consilium.jobs.executor import Answer, Executor, LocalExecutor, Run
from consilium.jobs.files import JobFiles, JobIndex, JobStatus
from consilium.jobs.forecast import Forecast, forecast_of
from consilium.jobs.pacing import Pace
from consilium.jobs.request import RequestReader, RowRequest
from consilium.jobs.result import Result
from consilium.jobs.roll import Roll
from consilium.jobs.row_turn import answering
from consilium.jobs.table import table_rows
from consilium.ledger.entries import now

if TYPE_CHECKING:
    import pandas
    import pyarrow

INDEX_EVERY_S = 5.0


class JobSpec(BaseModel):
    """What a job is to do, as it is kept beside its results."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Path
    output: Path
    columns: dict[str, str] = Field(default_factory=dict)
    """For plain rows: the columns of message, custom_id and model."""
    model: str = COUNCIL
    options: dict[str, Any] = Field(default_factory=dict)
    """What every row is asked with; see `AskOptions`."""
    broken: Literal["stop", "skip"] = "stop"
    """Whether a line that cannot be read stops the job before anything is paid, or gets an error for a result."""
    limit: int | None = Field(default=None, ge=1)
    sample: int | None = Field(default=None, ge=1)
    seed: int = 0
    token_budget: int | None = Field(default=None, ge=1)
    """No row is begun once the job has cost so many tokens, prompts included."""
    concurrency: int = Field(default=64, ge=1, le=4_096)
    """Rows in hand at one time; how many statements are asked for at one time the engine decides."""

    def asked(self) -> str:
        """Return the digest of what every row is asked with."""
        asked = [sorted(self.columns.items()), self.model, sorted(self.options.items())]
        return hashlib.sha256(json.dumps(asked, default=list).encode()).hexdigest()[:24]


@dataclass(slots=True, kw_only=True)
class Written:
    """What the lines that are there hold together."""

    done: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def count(self, result: Result) -> None:
        """Count one more."""
        self.done += 1
        self.failed += result.error is not None
        self.prompt_tokens += result.prompt_tokens
        self.completion_tokens += result.completion_tokens


class Job:
    """Puts the rows of a file through a council, and appends a line a row to another file.

    Run again after anything at all, it finishes what is missing: rows are told by ``custom_id``; a row whose line is
    there is passed over, one whose turn is in the ledger but not in the file is read from there.

    Args:
        council: who answers; it must not have been started.
        executor: where; in this process by default.
        spec: fields of `JobSpec`.

    Raises:
        pydantic.ValidationError: a field that does not exist or is out of range.

    ::

        job = Job(Council.open(), input="in.jsonl", output="out.jsonl")
        async for result in job.run():
            print(result.custom_id, result.text)
        job.to_pandas()
    """

    def __init__(self, council: Council, *, executor: Executor | None = None, **spec: object) -> None:
        self.spec = JobSpec.model_validate(spec)
        self._council = council
        self._executor = executor or LocalExecutor()
        self._files = JobFiles(self.spec.output)
        self._stopping: str | None = None
        self._index: JobIndex | None = None

    @property
    def index(self) -> JobIndex | None:
        """How far the job is; None before its first run."""
        return self._index or self._files.read_index()

    @property
    def is_draining(self) -> bool:
        """Whether no more rows are begun."""
        return self._stopping is not None

    def drain(self, why: str = "interrupted") -> None:
        """Begin no more rows; those in hand are finished and written."""
        self._stopping = self._stopping or why

    async def run(self) -> AsyncGenerator[Result]:
        """Yield each result once its line is on the disk, in the order in which they come.

        Raises:
            BadRows, UnknownMember: naming the line; nothing was paid.
            JobError: the files cannot be used; see there.
            EngineLost, LedgerError: the job cannot go on; run it again.
        """
        if self.spec.output.resolve() == self.spec.input.resolve():
            raise JobError(f"{self.spec.output} is the input too. Name another output.")
        self._stopping = None  # whatever ended it before
        with self._files, Roll() as roll:
            is_new = self._files.read_index() is None
            index = await asyncio.to_thread(self._begin, roll)
            run = Run(job_id=index.id, attempts=index.attempt + 1, is_new=is_new)
            async with (
                self._executor.answers(self._council, run) as answers,
                aclosing(self._written(roll, answers, index)) as results,
            ):
                async for result in results:
                    yield result

    async def forecast(self) -> AsyncGenerator[Forecast]:
        """Yield who would sit for each row that is due, and what it would cost at most; nobody speaks.

        Raises:
            BadRows, UnknownMember, JobError: as `run`.
        """
        with Roll() as roll:
            await asyncio.to_thread(self._enter, roll)
            async with answering(self._council, Pace()) as council:
                for request in self._due(roll, self._reader()):
                    if isinstance(request, RowRequest):
                        yield await forecast_of(council, request)

    def retry(self) -> int:
        """Take failed rows out of the results, so that the next run asks them anew; return how many there were."""
        with self._files:
            index = self._files.read_index()
            if index is None:
                raise JobError(f"{self.spec.output} is of no job that ran. Run it first.")
            dropped = self._files.drop_failed()
            self._files.write_index(index.model_copy(update={"attempt": index.attempt + 1, "failed": 0}))
            return dropped

    def results(self) -> Iterator[Result]:
        """Yield what the job has written so far."""
        return self._files.results()

    def to_arrow(self) -> "pyarrow.Table":
        """Return the results as an Arrow table. Raises `MissingExtra` without pyarrow."""
        from consilium.jobs.frames import arrow_table

        return arrow_table(self.results())

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the results as a data frame. Raises `MissingExtra` without pyarrow."""
        return self.to_arrow().to_pandas()

    def __repr__(self) -> str:
        index = self.index
        said = f"{index.status}, {index.done} of {index.rows} rows, {index.failed} failed" if index else "not yet run"
        return f"<Job {str(self.spec.output)!r}: {said}>"

    def _begin(self, roll: Roll) -> JobIndex:
        """Check everything that can be checked before a token is paid for, and say in the index that the job runs."""
        index = self._files.read_index()
        written = self._enter(roll)
        self._index = JobIndex(
            id=index.id if index else uuid.uuid4().hex,
            spec=self.spec.model_dump(mode="json"),
            asked=self.spec.asked(),
            attempt=index.attempt if index else 0,
            status="running",
            rows=sum(count for state, count in roll.count().items() if state != "left"),
            done=written.done,
            failed=written.failed,
            prompt_tokens=written.prompt_tokens,
            completion_tokens=written.completion_tokens,
            seconds=index.seconds if index else 0.0,
            updated_at=now(),
        )
        self._files.write_index(self._index)
        return self._index

    def _enter(self, roll: Roll) -> Written:
        """Enter every row of the input, and mark those whose lines are there; return what these have cost.

        Raises as `run`.
        """
        index, output = self._files.read_index(), self.spec.output
        if index is not None and index.asked != self.spec.asked():
            raise JobError(
                f"{output} holds results of rows that were asked otherwise (model, columns or options). "
                "Give the same options, or name another output."
            )
        if index is None and output.exists() and output.stat().st_size:
            raise JobError(f"{output} is there already, and of no job. Name another output.")
        self._call(roll)
        written = Written()
        for result in self._files.results():
            if roll.mark(result.custom_id, "failed" if result.error else "done") in ("done", "failed"):
                raise JobError(f"{output} holds {result.custom_id!r} twice. Remove one of the two lines.")
            written.count(result)
        return written

    def _call(self, roll: Roll) -> None:
        """Enter every row of the input, and choose. Raises as `run`."""
        reader = self._reader()
        for number, request in self._read(reader):
            if isinstance(request, Result) and self.spec.broken == "stop":
                raise _Named[request.error or ""](f"{self.spec.input} line {number}: {request.error_message}")
            if (line := roll.enter(request.custom_id, line=number, seed=self.spec.seed)) is not None:
                raise BadRows(
                    f"{self.spec.input} line {number}: custom_id {request.custom_id!r} stands in line {line} too. "
                    "Give each row its own."
                )
        roll.choose(sample=self.spec.sample, limit=self.spec.limit)

    def _reader(self) -> RequestReader:
        parts, options = self._council.parts, cast("AskOptions", self.spec.options)
        complete(options, parts.settings, parts.catalogue)
        return RequestReader(parts.catalogue, self.spec.columns, self.spec.model, options)

    def _read(self, reader: RequestReader) -> Iterator[tuple[int, RowRequest | Result]]:
        """Yield each line's request, or the error that is its result."""
        for number, row in table_rows(self.spec.input):
            try:
                if isinstance(row, BadRows):
                    raise row
                request: RowRequest | Result = reader.read(number, row)
            except (BadRows, UnknownMember) as error:
                given = row.get("custom_id") if isinstance(row, Mapping) else None
                named = given if isinstance(given, str) and given and not is_torn(given) else f"line-{number}"
                request = Result.of_error(named, self.spec.model, error)
            yield number, request

    def _due(self, roll: Roll, reader: RequestReader) -> Iterator[RowRequest | Result]:
        return (request for _, request in self._read(reader) if roll.state(request.custom_id) == "due")

    async def _written(self, roll: Roll, answers: Sequence[Answer], index: JobIndex) -> AsyncGenerator[Result]:
        """Answer what is due, and write it in groups: one sync for all that came while the last one ran."""
        started = shown = time.monotonic()
        answered: asyncio.Queue[Result] = asyncio.Queue(maxsize=2 * self.spec.concurrency)
        due = self._due(roll, self._reader())
        if roll.count().get("due"):  # else the job is at its end, whatever it cost
            self._keep_to_budget(index.prompt_tokens + index.completion_tokens)  # earlier runs may have spent it
        workers = [
            asyncio.create_task(self._work(due, answer, answered))
            for answer in islice(cycle(answers), self.spec.concurrency)
        ]
        ending = asyncio.create_task(asyncio.wait(workers))
        status: JobStatus = "failed"
        try:
            while group := await _group(answered, ending):
                await asyncio.to_thread(self._files.append, group)
                self._index = index = self._counted(index, group)
                if time.monotonic() - shown > INDEX_EVERY_S:
                    shown = time.monotonic()
                    self._files.write_index(index.model_copy(update={"seconds": index.seconds + shown - started}))
                for result in group:
                    yield result
            for worker in workers:
                worker.result()  # raises what kept the job from going on
            status = "cancelled" if self._stopping == "cancelled" else "stopped" if self._stopping else "finished"
        except GeneratorExit:
            status = "stopped"
            raise
        except EngineLost:  # what was asked of it in vain is to be asked anew
            index = index.model_copy(update={"attempt": index.attempt + 1})
            raise
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            self._index = index.model_copy(
                update={
                    "status": status,
                    "why": self._stopping or "",
                    "seconds": index.seconds + time.monotonic() - started,
                    "updated_at": now(),
                }
            )
            self._files.write_index(self._index)

    async def _work(self, due: Iterator[RowRequest | Result], answer: Answer, answered: asyncio.Queue[Result]) -> None:
        try:
            while not self._stopping and (request := next(due, None)) is not None:
                await answered.put(request if isinstance(request, Result) else await answer(request))
        except Exception:
            self.drain("the job cannot go on")
            raise

    def _counted(self, index: JobIndex, group: list[Result]) -> JobIndex:
        prompt = index.prompt_tokens + sum(result.prompt_tokens for result in group)
        completion = index.completion_tokens + sum(result.completion_tokens for result in group)
        if self._files.cancel_file.exists():
            self.drain("cancelled")
        self._keep_to_budget(prompt + completion)
        return index.model_copy(
            update={
                "done": index.done + len(group),
                "failed": index.failed + sum(result.error is not None for result in group),
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "updated_at": now(),
            }
        )

    def _keep_to_budget(self, tokens: int) -> None:
        if self.spec.token_budget is not None and tokens >= self.spec.token_budget:
            self.drain(f"the budget of {self.spec.token_budget:,} tokens is spent")


_Named: Mapping[str, type[BadRows] | type[UnknownMember]] = {"BadRows": BadRows, "UnknownMember": UnknownMember}


async def _group(answered: asyncio.Queue[Result], ending: "asyncio.Task[Any]") -> list[Result]:
    """Return all that is answered, at least one; nothing once there is no more to come."""
    if answered.empty() and not ending.done():
        first = asyncio.create_task(answered.get())
        await asyncio.wait([first, ending], return_when=asyncio.FIRST_COMPLETED)
        if first.done():
            return [first.result(), *_waiting(answered)]
        first.cancel()
    return _waiting(answered)


def _waiting(answered: asyncio.Queue[Result]) -> list[Result]:
    return [answered.get_nowait() for _ in range(answered.qsize())]
