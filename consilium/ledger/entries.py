"""What the ledger holds: one frozen value for each kind of row, each with the key that makes it unique."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, TypeVar

from consilium.errors import OutcomeDiffers


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


TurnStatus: TypeAlias = Literal["open", "interrupted", "concluded", "failed"]
"""``open``: being played, or cut off without a word. ``interrupted``: left off in good order. Both can be resumed."""
UNFINISHED: tuple[TurnStatus, ...] = ("open", "interrupted")
TierName: TypeAlias = Literal["memory", "engine"]
SeatRole: TypeAlias = Literal["speaker", "chair"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberEntry:
    """A member as it was when it could sit. Key: ``content_name``."""

    content_name: str
    """``slug@sha256[:12]`` of the adapter, or the slug alone for the bare base."""
    name: str
    group: str
    adapter_digest: str | None
    """sha256 of the adapter in hex; None for the bare base."""
    base: str
    """The base model, ``slug@sha256[:12]``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEntry:
    """One user message. Key: ``id``; and ``(session_id, number)`` is unique too."""

    id: str
    session_id: str
    number: int
    """Place in the session, from 1; given by the ledger at admission."""
    message: str
    options: Mapping[str, Any]
    """What the caller asked for beyond the message, as JSON primitives; with it the turn can be played again."""
    status: TurnStatus
    admitted_at: datetime
    tries: int = 1
    """How often somebody began to play it: once at admission, once more at each resumption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatEntry:
    """One member's place in one turn. Key: ``(turn_id, number)``."""

    turn_id: str
    number: int
    """From 0, in the router's order; a chair comes after the speakers."""
    member: str
    content_name: str
    """Which adapter exactly; refers to a `MemberEntry`."""
    role: SeatRole
    weight: float
    """The router's share for this seat; the weights of a turn's speakers sum to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideEntry:
    """What a router that did not act answered for a turn. It is kept with the decision that did."""

    router: str
    router_digest: str
    scores: Mapping[str, float]
    propensities: Mapping[str, float]
    members: tuple[str, ...]
    """Who would have sat."""
    abstained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionEntry:
    """What the router answered for a turn. Key: ``turn_id``."""

    turn_id: str
    router: str
    router_digest: str
    scores: Mapping[str, float]
    """For every member of the catalogue: the router's probability that it should sit."""
    propensities: Mapping[str, float]
    """For every member: the probability with which this router would have seated it."""
    abstained: bool
    """Whether nobody fitted, so that the bare base sits."""
    seats: tuple[SeatEntry, ...]
    exploration: float = 0.0
    """Seats that chance is expected to give to others than the likeliest: half the sum of min(p, 1 - p) over all
    propensities p. 0 for a router without chance; the share of explored turns where only the last seat is drawn."""
    beside: tuple[BesideEntry, ...] = ()
    """What routers that do not act answered for the same turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementEntry:
    """What a seat said, or the error that kept it from speaking. Key: ``(turn_id, seat, attempt)``."""

    turn_id: str
    seat: int
    attempt: int
    text: str
    """Empty where there is an error."""
    error: str | None
    """Class name of the typed error, or None."""
    error_message: str | None
    finish: Literal["stop", "length", "error"]
    prompt_tokens: int
    completion_tokens: int
    first_token_ms: float
    latency_ms: float
    engine: str
    prompt_digest: str | None = None
    """sha256 in hex of all that the member was asked; None for what was recorded before schema 0002."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictEntry:
    """The turn's answer. Key: ``turn_id``."""

    turn_id: str
    text: str
    method: str
    source_seat: int
    """The seat whose words these are (a chair's own seat if it composed them)."""
    agreement: float
    """Share of the speakers' weight that stands behind the text, in [0, 1]."""
    dissent: tuple[int, ...]
    """Seats that spoke and stand for something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingEntry:
    """The end of a turn, or that it was left off. Key: ``turn_id``.

    The first end stands; an interruption changes nothing after an end, and is itself replaced by one.
    """

    turn_id: str
    status: Literal["interrupted", "concluded", "failed"]
    closed_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeEntry:
    """A score given afterwards. Key: ``key``, chosen by the caller or drawn anew.

    The same outcome under one key, however often, is one outcome; another one under the same key is refused.
    """

    key: str
    turn_id: str
    seat: int | None
    """The seat that is scored; None scores the turn as a whole."""
    score: float
    """In [0, 1]."""
    source: Literal["user", "judge", "metric", "script"]
    weight: float = 1.0
    """How much it counts beside others, in (0, 1e9]."""
    scored_at: datetime = field(default_factory=now)

    def agrees(self, other: "OutcomeEntry") -> bool:
        """Say whether both are the same but for the moment."""
        return replace(self, scored_at=other.scored_at) == other


def differs(stands: OutcomeEntry, asked: OutcomeEntry) -> OutcomeDiffers:
    """Return the error for a second, differing outcome under one key."""
    return OutcomeDiffers(
        f"outcome key={asked.key!r} stands with score={stands.score!r} by {stands.source} on turn {stands.turn_id!r}, "
        f"seat {stands.seat!r}, weight {stands.weight!r}; score={asked.score!r} by {asked.source} differs from it and "
        "was not written. Give another key."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TierEntry:
    """What became of the times that adapters were needed in one place, while one council was open.

    Key: ``(run, place, tier)``. See `consilium.engines.tiers.Tally` for the figures.
    """

    run: str
    """Names the time from a council's opening to its closing."""
    place: str
    tier: TierName
    capacity: int
    hits: int
    loads: int
    ahead: int
    given_back: int
    load_ms: float
    noted_at: datetime = field(default_factory=now)


Entry: TypeAlias = (
    MemberEntry | SeatEntry | DecisionEntry | StatementEntry | VerdictEntry | ClosingEntry | OutcomeEntry | TierEntry
)
"""Everything but a turn's admission, which has a method of its own because the ledger numbers the turn."""

EntryT = TypeVar("EntryT", bound=Entry)
"""One kind of entry, or a mixture: what goes into the ledger comes out as the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnLog:
    """All that the ledger holds of one turn."""

    turn: TurnEntry
    decision: DecisionEntry | None
    seats: tuple[SeatEntry, ...]
    """By number; the decision's seats, and a chair's if one sat."""
    statements: tuple[StatementEntry, ...]
    """By (seat, attempt)."""
    verdict: VerdictEntry | None
    outcomes: tuple[OutcomeEntry, ...]
    """By (time, key)."""
