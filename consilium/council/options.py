"""What a caller may ask of one turn beyond its message."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import TypedDict

from consilium.errors import BadSettings
from consilium.members.catalogue import Catalogue
from consilium.settings import Method, Settings


class AskOptions(TypedDict, total=False):
    """Keyword arguments of `Council.ask` and its kin; what is left out, or None, comes from the settings."""

    members: Sequence[str] | None
    """Members that must sit, in this order; the router is not asked."""
    seats: int | None
    """At most this many members sit."""
    method: Method | None
    """How statements become a verdict: ``best``, ``vote`` or ``chair``."""
    max_tokens: int | None
    """Bound on every statement, in tokens; the default is each persona's own."""


class TurnOptions(BaseModel):
    """The same, complete: kept with the turn in the ledger, so that it can be played again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: tuple[str, ...] = ()
    seats: int = Field(ge=1, le=32)
    method: Method
    max_tokens: int | None = Field(default=None, ge=1)


def complete(asked: AskOptions, settings: Settings, catalogue: Catalogue) -> TurnOptions:
    """Fill in from the settings what was not asked for.

    Raises:
        UnknownMember: a named member is not in the catalogue.
        BadSettings: an option that does not exist, or a value out of range.
    """
    given: Mapping[str, Any] = {name: value for name, value in asked.items() if value is not None}
    members = given.get("members", ())
    if isinstance(members, str):
        raise BadSettings(f"members={members!r} is a text. Give a list of names.")
    names = tuple(member.name for member in catalogue.pick(members))
    try:
        return TurnOptions(**{"seats": settings.seats, "method": settings.deliberation, **given, "members": names})
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join(map(str, fault["loc"]))
        raise BadSettings(f"option {name}={fault['input']!r}: {fault['msg']}. Correct the call.") from error
