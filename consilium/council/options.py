"""What a caller may ask of one turn beyond its message."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import TypedDict

from consilium.errors import BadSettings
from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Request
from consilium.settings import Method, Settings


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
    """Bound on every statement, in tokens; the default is each persona's own."""


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
    heard: tuple[str, ...] | None = None
    """Ids of the session's earlier turns that the members hear, oldest first; admission fills it in, so that whoever
    plays the turn again has them hear the same. None where that was not recorded."""

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
