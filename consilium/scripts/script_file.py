"""What a script's file may hold. Field by field it is the reference of docs/scripts.md."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import (
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    model_validator,
)

from consilium.members.persona import Slug, Text
from consilium.scripts.expectation import EndExpectation, Expectation, Name, Table
from consilium.scripts.source import Place
from consilium.settings import Method

MAX_TURNS = 1_000
"""More are refused before anything is paid; thousands of rows are a batch job."""

Value: TypeAlias = str | StrictBool | StrictInt | StrictFloat
"""What a variable or a column holds; it goes into texts as it is written."""
Policy: TypeAlias = Literal["router", "round-robin", "everyone-once", "talkativeness", "order"]
FileName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[^/\\\x00]+$", max_length=200)]


class Cast(Table):
    """Who may sit. Without members, groups and cards, everybody in the catalogue may."""

    members: tuple[Slug, ...] = ()
    """Members that may sit."""
    groups: tuple[Slug, ...] = ()
    """Groups all of whose members may sit."""
    cards: tuple[FileName, ...] = ()
    """Character cards beside the script; each becomes a member for the time of the play, and may sit."""
    roles: dict[Name, Slug] = Field(default_factory=dict)
    """Names for members that hold in this script; anywhere else in it a role may stand for its member."""
    pinned: tuple[Name, ...] = ()
    """Members or roles that sit in every turn, beside whom the policy chooses."""
    mute: tuple[Name, ...] = ()
    """Members or roles that never sit, though their group may."""


class Speakers(Table):
    """Who of the cast sits in a turn that does not say so itself."""

    policy: Policy = "router"
    """``router``: whom the router chooses. ``round-robin``: one after another, in the order of the cast.
    ``everyone-once``: whom the router chooses of those that have not sat in this round; once all have, a new round
    begins. ``talkativeness``: drawn by chance, by weight. ``order``: as the list ``order`` says."""
    seats: Annotated[int, Field(ge=1, le=32)] | None = None
    """At most this many sit in a turn, those pinned aside. Default: 1, and with ``router`` the setting ``seats``."""
    order: tuple[Name, ...] = ()
    """Who sits in which turn (``order``): one name for each turn that names no members itself."""
    talkativeness: dict[Name, Annotated[float, Field(ge=0, le=1_000)]] = Field(default_factory=dict)
    """Weights of the draw (``talkativeness``); who is not named has 1, and 0 is never drawn."""
    may_follow: dict[Name, tuple[Name, ...]] = Field(default_factory=dict)
    """Who may sit right after whose words were the verdict. After a member that is not named here anybody may."""

    @model_validator(mode="after")
    def _fits_the_policy(self) -> Self:
        for field, policy in (("order", "order"), ("talkativeness", "talkativeness")):
            if getattr(self, field) and self.policy != policy:
                raise ValueError(f"{field!r} goes with policy = {policy!r}, not with {self.policy!r}")
        if self.policy == "order" and not self.order:
            raise ValueError("policy = 'order' needs the list 'order'")
        return self


class Limits(Table):
    """What a play may cost, and what its chance starts from."""

    tokens: Annotated[int, Field(ge=1)] | None = None
    """All statements together; no turn begins once they are spoken, and the router seats nobody beyond them."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """The whole play; the turn in hand is given up."""
    deadline_s: Annotated[float, Field(gt=0)] | None = None
    """Seconds each seat has. Default: the setting."""
    max_tokens: Annotated[int, Field(ge=1, le=4_096)] | None = None
    """Longest statement. Default: each persona's own."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Of all draws, the speakers' and the members'. Default: the setting."""


class RowsFile(Table):
    """Rows of data in a file beside the script."""

    file: FileName
    """JSON Lines (``.jsonl``) or ``.csv`` with a header."""
    limit: Annotated[int, Field(ge=1, le=MAX_TURNS)] | None = None
    """Only the first so many."""


class TurnScript(Table):
    """One turn, or a block of turns: ``say``, ``played_by`` or ``turns``, exactly one of the three."""

    id: Name | None = None
    """Names the turn, so that later texts can quote its verdict: ``{verdicts.ID}``."""
    say: Text | None = None
    """What the user says."""
    played_by: Name | None = None
    """A member or role that plays the user: what it says to ``cue`` is the turn's message."""
    cue: Text | None = None
    """What the member that plays the user is asked (with ``played_by``). Default: ``{verdict}``."""
    turns: tuple["TurnScript", ...] = ()
    """A block of turns, for ``for_each`` or ``repeat``."""
    for_each: Name | None = None
    """Play this once for each of these rows; ``{row.COLUMN}`` stands for what the row holds."""
    repeat: Annotated[int, Field(ge=1)] | None = None
    """Play this so many times; ``{round}`` is the number of the time, from 1."""
    fresh: bool = False
    """Begin a new conversation: nobody hears what was said before. A block does so each time round."""
    members: tuple[Name, ...] = ()
    """Who sits, whatever the policy says, those pinned included."""
    seats: Annotated[int, Field(ge=1, le=32)] | None = None
    """At most this many sit, in place of the policy's number."""
    method: Method | None = None
    """How statements become the verdict: ``best``, ``vote`` or ``chair``. Default: the setting."""
    max_tokens: Annotated[int, Field(ge=1, le=4_096)] | None = None
    """Longest statement, in place of the limit's."""
    expect: Expectation | None = None
    """What must hold after this turn."""

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        kinds = [name for name in ("say", "played_by", "turns") if getattr(self, name)]
        if len(kinds) != 1:
            raise ValueError(f"a turn has exactly one of 'say', 'played_by' and 'turns'; this has {kinds or 'none'}")
        if self.cue is not None and not self.played_by:
            raise ValueError("'cue' goes with 'played_by'")
        if self.for_each and self.repeat:
            raise ValueError("'for_each' and 'repeat' are two loops. Put a block in a block")
        if self.turns:
            single = ("id", "members", "seats", "method", "max_tokens", "expect")
            if said := [name for name in single if getattr(self, name)]:
                raise ValueError(f"{said[0]!r} belongs to a turn, not to a block. Say it in the block's turns")
        return self


class ScriptFile(Table):
    """The whole file."""

    schema_version: Literal[1] = 1
    """Of this format."""
    title: Text
    """What the play is called."""
    description: Text | None = None
    """What it is about."""
    variables: dict[Name, Value] = Field(default_factory=dict)
    """Values for ``{NAME}`` in texts; they may stand in each other, and ``--set`` replaces them."""
    rows: dict[Name, RowsFile | tuple[dict[str, Value], ...]] = Field(default_factory=dict)
    """Data to loop over: a file, or the rows themselves."""
    cast: Cast = Cast()
    """Who may sit."""
    speakers: Speakers = Speakers()
    """Who of the cast sits when."""
    limits: Limits = Limits()
    """What the play may cost, and what its chance starts from."""
    turns: Annotated[tuple[TurnScript, ...], Field(min_length=1)]
    """What is said, in order."""
    expect: EndExpectation | None = None
    """What must hold at the end, of the play as a whole; texts are those of the last verdict."""

    def all_turns(self) -> Iterator[tuple[Place, TurnScript]]:
        """Yield every turn and block with its place, in order, a block before what is in it."""
        yield from _walk(self.turns, ("turns",))


def _walk(turns: tuple[TurnScript, ...], place: Place) -> Iterator[tuple[Place, TurnScript]]:
    for number, turn in enumerate(turns):
        yield (*place, number), turn
        yield from _walk(turn.turns, (*place, number, "turns"))
