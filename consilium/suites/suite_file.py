"""What a suite's file may hold. Field by field it is the reference of docs/suites.md."""

from typing import Annotated, Any, Self, TypeAlias

from pydantic import Field, StrictStr, model_validator

from consilium.members.persona import Slug, Text
from consilium.scripts.expectation import Name, Table
from consilium.settings import Method

COUNCIL, ROUTER, BASE = "council", "router", "base"
BASE_VOTE, BEST_VOTE, RANDOM, ORACLE = CONTROLS = ("base_vote", "best_vote", "random", "oracle")
ARMS = (COUNCIL, ROUTER, BASE, *CONTROLS)
"""In the order in which a report shows them."""
AS_THE_COUNCIL = (BASE_VOTE, BEST_VOTE, RANDOM)
"""Arms that are heard as often as the council was for the same row, unless the suite says how often."""

Path_: TypeAlias = Annotated[StrictStr, Field(min_length=1, max_length=1_000)]


class InlineRow(Table):
    """A row that stands in the suite itself."""

    id: Text
    """Names the row; no other of the suite has the same."""
    request: Text
    """What is put to each arm."""
    references: tuple[Text, ...] = ()
    """Accepted texts."""


class Columns(Table):
    """Which columns of a file are read."""

    id: Text = "id"
    """Of the row's name."""
    request: Text = "request"
    """Of what is put to each arm."""
    references: Text = "references"
    """Of the accepted text, or of a list of such texts. Not read where every metric is a judge's."""


class DataPart(Table):
    """Rows of one kind: from a file, from a folder laid out for the members, or from the suite itself."""

    name: Name | None = None
    """What the report calls these rows. Default: the name of the file, or of the member whose work they are."""
    file: Path_ | None = None
    """A .jsonl, .csv or .parquet file; the way begins at the suite's folder."""
    columns: Columns | None = None
    """Goes with ``file``."""
    house: Path_ | None = None
    """A folder with the held-out rows of members, as ``consilium eval members --data`` reads it."""
    members: tuple[Slug, ...] = ()
    """Whose rows are read, each a part of its own; goes with ``house``."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Of each member's rows so many, drawn by the seed; goes with ``house``. Default: 200."""
    rows: tuple[InlineRow, ...] = ()
    """The rows themselves."""
    metrics: tuple[Name, ...] = ()
    """What a statement is scored with, from 0 to 1: metrics by name, or judges of this suite. The first is the score.
    Default with ``house``: the member's own."""

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        if sum(source is not None and source != () for source in (self.file, self.house, self.rows)) != 1:
            raise ValueError("give one of 'file', 'house' and 'rows'")
        if self.house and (not self.members or self.name):
            raise ValueError("'house' needs 'members', whose names its parts bear")
        for field, given in (("members", self.members), ("limit", self.limit)):
            if given and not self.house:
                raise ValueError(f"{field!r} goes with 'house'")
        if self.columns and not self.file:
            raise ValueError("'columns' goes with 'file'")
        if self.rows and not self.name:
            raise ValueError("rows of the suite itself need a 'name'")
        if not self.house and not self.metrics:
            raise ValueError("'metrics' is missing; name what statements are scored with")
        return self


class JudgeTable(Table):
    """A judge: how likely a member finds Yes against No, from 0 to 1."""

    question: Text
    """That Yes is the good answer to."""
    by: Slug | None = None
    """The member that judges. Default: the catalogue's fallback, the bare base."""


class CouncilTable(Table):
    """How the council is asked, and the router, which seats one. What is left out comes from the settings."""

    seats: Annotated[int, Field(ge=1, le=32)] | None = None
    """At most so many sit."""
    min_seats: Annotated[int, Field(ge=1, le=32)] | None = None
    """At least so many do. Without it the router seats beside the first only whom it thinks worth the tokens."""
    token_budget: Annotated[int, Field(ge=1)] | None = None
    """The seats may speak so many tokens together."""
    method: Method | None = None
    """How statements become a verdict."""
    router: Text = "live"
    """``live``, ``centroid``, the file of a fitted router, or the digest of one that is kept."""

    def options(self) -> dict[str, Any]:
        """Return what a turn is asked with."""
        return self.model_dump(exclude={"router"}, exclude_none=True)


class Controls(Table):
    """How the controls are heard that may cost what the council costs."""

    draws: Annotated[int, Field(ge=1, le=64)] | None = None
    """How often for each row. Default: as often as the council was for the same row."""
    temperature: Annotated[float, Field(gt=0, le=2)] = 0.7
    """Of a member's second and later draws, where its own is lower: drawn greedily they would all be the first."""


class Limits(Table):
    """What an evaluation may cost, and what its chance starts from."""

    tokens: Annotated[int, Field(ge=1)] | None = None
    """Prompts and statements of all arms; none is begun once they are spent."""
    max_tokens: Annotated[int, Field(ge=1, le=4_096)] | None = None
    """Longest statement, in every arm. Default: each persona's own."""
    deadline_s: Annotated[float, Field(gt=0)] = 1_800.0
    """Seconds that each statement has. Nobody waits for it, and what takes long beside others is no error."""
    seed: Annotated[int, Field(ge=0, lt=2**62)] | None = None
    """Of all draws. Default: the setting."""


class SuiteFile(Table):
    """A suite."""

    title: Text
    """What is evaluated, in a few words."""
    description: Text | None = None
    """For ``consilium eval run --list``."""
    arms: Annotated[tuple[Name, ...], Field(min_length=1)] = ARMS
    """``council``; ``router``: its first choice alone; ``base``: the bare base; a member's name; and the controls.
    ``base_vote``, ``best_vote``: the base, or the member that does best on these rows, heard as often as the council,
    its answers counted. ``random``: as many members as the council seats, by chance. ``oracle``: for each row whoever
    did best on it, known only with hindsight."""
    members: tuple[Slug, ...] = ()
    """Who may sit, in any arm. Default: everybody in the catalogue."""
    data: Annotated[tuple[DataPart, ...], Field(min_length=1)]
    """The rows, in parts."""
    judges: dict[Name, JudgeTable] = Field(default_factory=dict)
    """Judges by name, for ``metrics``."""
    council: CouncilTable = CouncilTable()
    """How the council is asked."""
    controls: Controls = Controls()
    """How the controls are heard."""
    limits: Limits = Limits()
    """What it may cost."""

    @model_validator(mode="after")
    def _arms_fit(self) -> Self:
        if len(set(self.arms)) < len(self.arms):
            raise ValueError("an arm is named twice. Name each once")
        if self.controls.draws is None and COUNCIL not in self.arms and (lost := set(self.arms) & set(AS_THE_COUNCIL)):
            raise ValueError(
                f"{min(lost)!r} is heard as often as the council, which is no arm. Add it, or set [controls] draws"
            )
        return self

    @property
    def subject(self) -> str:
        """The arm that the others are there to be compared with."""
        return COUNCIL if COUNCIL in self.arms else self.arms[0]
