"""The `Engine` seam, and the values that cross it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeAlias

from consilium.engines.tiers import Tally
from consilium.members.persona import SamplingDefaults

Role: TypeAlias = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One entry of a conversation, as a chat template takes it."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What one seat is asked."""

    member: str
    """Name of the member in the engine's catalogue."""
    messages: tuple[Message, ...]
    """The persona's system prompt first, the user's message last."""
    sampling: SamplingDefaults = field(default_factory=SamplingDefaults)
    schema: Mapping[str, Any] | None = None
    """JSON schema that the statement has to follow; None leaves it free."""
    seed: int = 0
    """Draws are a function of the seed, the prompt and the member; the batch around the row has no part in them."""
    deadline_s: float | None = None
    """Seconds from the call until the seat is given up with `SeatDeadline`; None waits for as long as it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of a statement, as soon as it is known."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A finished statement; its text is the concatenation of the deltas before it."""

    text: str
    finish: Literal["stop", "length"]
    """``stop``: the member ended it, or a stop string did. ``length``: ``max_tokens`` were spoken."""
    prompt_tokens: int
    completion_tokens: int
    """Of all drafts, where there were several."""
    first_token_ms: float
    """Milliseconds from the call to the first token."""
    latency_ms: float
    """Milliseconds from the call to the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """A text whose likelihood is asked for, as the assistant's reply to the messages."""

    member: str
    messages: tuple[Message, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """How likely a member finds a continuation, its end included."""

    log_probability: float
    """Sum over the continuation's tokens, in nats."""
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """What an engine is, for ledgers and people."""

    name: str
    base: str
    """Name by content of the base model, ``slug@sha256[:12]``."""
    context_tokens: int
    """Longest prompt and statement together, in tokens."""
    tiers: tuple[Tally, ...] = ()
    """What has become so far of the times that adapters were needed; none where an engine keeps no such books."""


class Engine(Protocol):
    """Turns (member, messages) into text or likelihoods.

    An engine is an asynchronous context manager: entering starts it, leaving ends every call in hand with `EngineLost`.
    All calls may be made concurrently from one event loop, and none blocks it. Cancelling a call frees its place.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def describe(self) -> EngineInfo:
        """Say what this engine is; needs no running engine."""
        ...

    async def ensure_ready(self, members: Sequence[str]) -> None:
        """Load what the named members need.

        Raises:
            UnknownMember: a name that the engine's catalogue does not hold.
            AdapterRefused: an adapter of another base, or with unusable weights.
        """
        ...

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the number of tokens of the messages as a prompt, the template's own included."""
        ...

    def generate(self, prompt: Prompt) -> AsyncIterator[Delta | Spoken]:
        """Yield the statement piece by piece, and last the finished statement.

        Where the sampling asks for several drafts it is one piece: the draft that the member finds likeliest, see
        `consilium.engines.drafts.drafted`, with which an engine keeps this.

        Raises:
            UnknownMember, AdapterRefused: as `ensure_ready`.
            BadMessage: prompt and statement together exceed the context.
            BadSettings: a schema is asked for, and the engine holds nobody to one.
            SeatDeadline: the deadline passed first.
            EngineLost: the engine ended or broke.
        """
        ...

    async def likelihood(self, continuations: Sequence[Continuation]) -> tuple[Likelihood, ...]:
        """Return each continuation's likelihood, in the order given. Raises as `generate`, but for the deadline."""
        ...
