"""What a caller may ask of one turn beyond its message."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from typing_extensions import TypedDict

from consilium.engines.protocol import Message
from consilium.errors import BadSettings, UnknownMember
from consilium.members.catalogue import Catalogue
from consilium.members.persona import Persona, SamplingDefaults, Stop, Temperature, TopP
from consilium.routing.protocol import Request
from consilium.settings import Method, Settings

COUNCIL = "council"
"""Name of a whole turn, where others ask for a model by name: whom the router seats, and their verdict."""
ROUTER = "router"
"""Name of the one member that the router finds the likeliest."""


class AskOptions(TypedDict, total=False):
    """Keyword arguments of `Council.ask` and its kin; what is left out, or None, comes from the settings."""

    members: Sequence[str] | None
    """Members that must sit, in this order; the router is not asked."""
    seats: int | None
    """At most this many members sit."""
    min_seats: int | None
    """At least this many do, however unlikely they are."""
    must_sit: Sequence[str] | None
    """Members that sit whatever the router thinks of them; it chooses who sits beside them."""
    must_not_sit: Sequence[str] | None
    """Members that do not sit."""
    token_budget: int | None
    """The seats may speak so many tokens together, each as many as its persona says. Who must sit does, and somebody
    always, whatever that costs."""
    method: Method | None
    """How statements become a verdict: ``best``, ``vote`` or ``chair``."""
    max_tokens: int | None
    """Bound on every statement, in tokens; the default is each persona's own, as for the three below."""
    temperature: float | None
    top_p: float | None
    stop: Sequence[str] | None
    """Strings that end a statement."""
    seed: int | None
    """Of the statements' draws."""
    instructions: str | None
    """Told to every member below its own system prompt; the router does not read them."""
    history: Sequence[Message] | None
    """What the user and the assistant said before, where no session of the ledger holds it; all of it is heard."""


class TurnOptions(BaseModel):
    """The same, complete: kept with the turn in the ledger, so that it can be played again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: tuple[str, ...] = ()
    seats: int = Field(ge=1, le=32)
    min_seats: int = Field(default=1, ge=1, le=32)
    must_sit: tuple[str, ...] = ()
    must_not_sit: tuple[str, ...] = ()
    token_budget: int | None = Field(default=None, ge=1)
    method: Method
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: Temperature | None = None
    top_p: TopP | None = None
    stop: tuple[Stop, ...] | None = None
    seed: int | None = None
    instructions: str | None = None
    history: tuple[Message, ...] = ()
    heard: tuple[str, ...] | None = None
    """Ids of the session's earlier turns that the members hear, oldest first; admission fills it in, so that whoever
    plays the turn again has them hear the same. None where that was not recorded."""

    @field_validator("history")
    @classmethod
    def _is_said_by_two(cls, value: tuple[Message, ...]) -> tuple[Message, ...]:
        if any(message.role == "system" for message in value):
            raise ValueError("a system message belongs into `instructions`")
        return value

    def system_prompt(self, persona: Persona) -> str:
        """Return what the member is told before anybody speaks."""
        return "\n\n".join(filter(None, (persona.system_prompt, self.instructions)))

    def sampling(self, persona: Persona) -> SamplingDefaults:
        """Return how the member speaks: as its persona says, but for what was asked."""
        asked = {name: getattr(self, name) for name in ("max_tokens", "temperature", "top_p", "stop")}
        return persona.sampling.model_copy(update={name: value for name, value in asked.items() if value is not None})

    def request(self, message: str, history: tuple[str, ...] = (), sat: tuple[str, ...] = ()) -> Request:
        """Return what the router decides upon."""
        return Request(
            message=message,
            history=history,
            sat=sat,
            members=self.members,
            seats=self.seats,
            min_seats=self.min_seats,
            must_sit=self.must_sit,
            must_not_sit=self.must_not_sit,
            token_budget=self.token_budget,
        )


def complete(asked: AskOptions, settings: Settings, catalogue: Catalogue) -> TurnOptions:
    """Fill in from the settings what was not asked for.

    Raises:
        UnknownMember: a named member is not in the catalogue.
        BadSettings: an option that does not exist, or a value out of range.
    """
    given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    for option in ("members", "must_sit", "must_not_sit"):
        if isinstance(names := given.get(option, ()), str):
            raise BadSettings(f"{option}={names!r} is a text. Give a list of names.")
        given[option] = tuple(member.name for member in catalogue.pick(names))
    try:
        return TurnOptions(**{"seats": settings.seats, "method": settings.deliberation, **given})
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join(map(str, fault["loc"]))
        raise BadSettings(f"option {name}={fault['input']!r}: {fault['msg']}. Correct the call.") from error


def addressed(model: str, catalogue: Catalogue) -> AskOptions:
    """Return the options of a turn that is asked for as a model: ``council``, ``router`` or the name of a member.

    ``consilium/`` may stand before it, and ``default`` for ``council``.

    Raises:
        UnknownMember: it is none of them.
    """
    name = model.removeprefix("consilium/")
    if name in (COUNCIL, "default"):
        return AskOptions()
    if name == ROUTER:
        return AskOptions(seats=1, min_seats=1)
    try:
        return AskOptions(members=(catalogue.get(name).name,))
    except UnknownMember as error:
        raise UnknownMember(f"model={model!r}: {error} Or name {COUNCIL!r} or {ROUTER!r}.") from error
