"""Cases: the rows of a suite, each with what a statement to it is scored with."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from consilium.errors import BadRows, BadSuite, UnknownMember
from consilium.evaluation.tasks import SPOKEN_ROWS, Tasks, sampled
from consilium.evaluation.work import Metric
from consilium.jobs.request import MAX_ID
from consilium.jobs.table import table_rows
from consilium.members.catalogue import Catalogue
from consilium.scripts.checking import METRICS
from consilium.scripts.source import Place
from consilium.suites.suite_file import Columns, DataPart, SuiteFile
from consilium.training.rows import Row

Rows: TypeAlias = Iterator[tuple[str, Row]]
"""Ids and rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Rows of one kind."""

    name: str
    metrics: tuple[str, ...]
    """The first is the score."""
    measures: Mapping[str, Metric]
    """Those of the metrics that are no judges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row: what is put to every arm, and what is accepted."""

    id: str
    part: Part
    row: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseReader:
    """Reads the rows of a suite."""

    file: SuiteFile
    folder: Path
    """Where it lies."""
    catalogue: Catalogue
    seed: int
    """Of the draw from a house folder."""
    fault: Callable[[Place, str], BadSuite]
    """Returns the error that says what is wrong at a place of the suite."""

    def read(self) -> tuple[Case, ...]:
        """Return all cases.

        Raises:
            BadSuite: naming the line of the suite, and the file and line of a row that cannot be scored.
            MissingExtra: a file or a metric needs a package that is not installed.
        """
        cases: dict[str, Case] = {}
        parts: set[str] = set()
        for number, data in enumerate(self.file.data):
            for part, rows in self._parts(number, data):
                if part.name in parts:
                    raise self.fault(("data", number), f"a part is called {part.name!r} already. Name it otherwise.")
                parts.add(part.name)
                for name, row in rows:
                    self._check(number, part, name, row)
                    case = Case(id=name, part=part, row=row)
                    if (standing := cases.setdefault(name, case)) is not case:
                        where = f"{row.origin}: id {name!r} stands in {standing.row.origin} too"
                        raise self.fault(("data", number), f"{where}. Give each row its own.")
        return tuple(cases.values())

    def _parts(self, number: int, data: DataPart) -> Iterator[tuple[Part, Rows]]:
        if data.house is not None:
            yield from self._house(number, data, self.folder / data.house)
            return
        part = self._part(number, data, data.name or Path(data.file or "").stem, METRICS, data.metrics)
        if data.file is not None:
            yield part, self._of_file(number, self.folder / data.file, data.columns or Columns(), part)
        else:
            rows = enumerate(data.rows)
            yield (
                part,
                (
                    (row.id, Row(request=row.request, replies=row.references, origin=f"data.{number}.rows.{place}"))
                    for place, row in rows
                ),
            )

    def _part(
        self, number: int, data: DataPart, name: str, known: Mapping[str, Metric], metrics: Sequence[str]
    ) -> Part:
        for place, metric in enumerate(data.metrics):
            if metric not in known and metric not in self.file.judges:
                there = ", ".join([*known, *self.file.judges])
                raise self.fault(
                    ("data", number, "metrics", place), f"no metric is called {metric!r}. There are: {there}."
                )
        measures = {metric: known[metric] for metric in metrics if metric not in self.file.judges}
        return Part(name=name, metrics=tuple(metrics), measures=measures)

    def _house(self, number: int, data: DataPart, folder: Path) -> Iterator[tuple[Part, Rows]]:
        sample = data.limit or SPOKEN_ROWS
        tasks = Tasks(self.catalogue.members.values(), [folder], sample=sample, seed=self.seed)
        for place, name in enumerate(data.members):
            try:
                task = tasks.read(self.catalogue.get(name))
            except (BadRows, UnknownMember) as error:
                raise self.fault(("data", number, "members", place), str(error)) from error
            own = dict.fromkeys([task.work.headline, *task.work.metrics])
            part = self._part(number, data, name, task.work.metrics, data.metrics or list(own))
            yield part, ((f"{name}-{count}", row) for count, row in enumerate(task.spoken, 1))

    def _of_file(self, number: int, path: Path, columns: Columns, part: Part) -> Rows:
        wanted = [columns.id, columns.request, *([columns.references] if part.measures else [])]
        try:
            for line, entry in table_rows(path):
                where = f"{path} line {line}"
                if isinstance(entry, BadRows):
                    raise self.fault(("data", number, "file"), f"{where}: {entry}")
                if lacking := [column for column in wanted if column not in entry]:
                    there = ", ".join(map(repr, entry))
                    raise self.fault(
                        ("data", number, "file"), f"{where}: no column {lacking[0]!r}; there are {there}. Map another."
                    )
                yield _id(entry[columns.id]), _row(entry, columns, where)
        except BadRows as error:
            raise self.fault(("data", number, "file"), str(error)) from error

    def _check(self, number: int, part: Part, name: str, row: Row) -> None:
        """Raise `BadSuite` where a row is none, or a metric cannot score on it, which is tried with its reference."""
        if not 0 < len(name) <= MAX_ID or not isinstance(row.request, str) or not row.request.strip():
            raise self.fault(
                ("data", number),
                f"{row.origin}: id {name!r:.60}, request {row.request!r:.60}. Each row needs a text as its request, "
                f"and as its id a number or a text of at most {MAX_ID} characters.",
            )
        try:
            for metric in part.measures.values():
                metric.each("".join(row.replies[:1]), row)
        except BadRows as error:
            raise self.fault(("data", number), f"{row.origin}: {error}") from error


def _id(value: object) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _row(entry: Mapping[str, Any], columns: Columns, where: str) -> Row:
    given = entry.get(columns.references)
    replies: list[Any] = given if isinstance(given, list) else [given]
    if not all(isinstance(reply, str) and reply.strip() for reply in replies):
        replies = []  # which no metric can score on
    return Row(request=entry[columns.request], replies=tuple(replies), origin=where)


def chosen(cases: Sequence[Case], count: int | None, *, seed: int) -> tuple[Case, ...]:
    """Return ``count`` of the cases, drawn by the seed, in their order; all without a count."""
    if count is None:
        return tuple(cases)
    drawn = {case.id for case in sampled(cases, count, seed)}
    return tuple(case for case in cases if case.id in drawn)
