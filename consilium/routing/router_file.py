"""A fitted router as one file: tensors, and a card that says whom it knows and what it reads with."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from consilium.errors import BadSettings
from consilium.members.files import write_whole
from consilium.members.persona import BaseName, Slug

if TYPE_CHECKING:
    from torch import Tensor

ROUTER_FILE = "router.safetensors"
MAX_BYTES = 20_000_000
"""Of a router's file."""
MAX_MEMBERS = 29
"""Who find room in it: a member takes 0.39 MB, and 8.5 MB are taken by none."""
MAX_TUNED = 22
"""The same, where the encoder was tuned: its adapter takes 2.6 MB."""
_CARD = "card"


class RouterCard(BaseModel):
    """What a router's tensors mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[4] = 4
    members: Annotated[tuple[Slug, ...], Field(min_length=2)]
    group_of: tuple[Annotated[int, Field(ge=0)], ...]
    """The number of each member's group."""
    encoder: BaseName
    """The base that tokens and states are of, by content; members may be served on another."""
    depth: Annotated[int, Field(ge=1)]
    """Layers of it that the deep stage runs."""
    width: Annotated[int, Field(ge=4)]
    gate: str
    certain: Annotated[float, Field(ge=0)]
    """Where the fast stage is less sure of its first member than this, the deep stage is asked too."""
    shares: tuple[float, float]
    """How much the fast and the deep stage count where both were asked: exponents of their probabilities."""
    ordinary: tuple[Slug, ...] = ()
    """Members whose names are words of their requests, so that to name one is not to call it."""
    fallback: Slug | None = None
    """Whose requests are nobody's, of which the deep stage alone was told; None where it was told of none."""
    made: dict[str, Any] = {}
    """How it was fitted: examples, seed, settings, seconds."""

    @model_validator(mode="after")
    def _knows_its_members(self) -> Self:
        if len(self.members) != len(self.group_of):
            raise ValueError(f"{len(self.members)} members and {len(self.group_of)} groups of members")
        if self.fallback is not None and self.fallback not in self.members:
            raise ValueError(f"fallback {self.fallback!r} is none of the members")
        return self


class RouterTensors(BaseModel):
    """A router's card with its tensors, and the digest of the file that they are kept in."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    card: RouterCard
    tensors: Mapping[str, Any]
    digest: str


def check_size(members: int, *, tuned: bool = False) -> None:
    """Raise `BadSettings` where a file does not hold so many members, and what tunes the encoder if that is tuned."""
    if members > (most := MAX_TUNED if tuned else MAX_MEMBERS):
        raise BadSettings(
            f"{members} members: a router{' with a tuned encoder' * tuned} is fitted for at most {most}. Fit it on a "
            "catalogue of so many; those that are added to it later are known by their examples."
        )


def write_router(path: Path, card: RouterCard, tensors: "Mapping[str, Tensor]") -> str:
    """Write a router's file, whole or not at all, and return its sha256.

    Raises:
        BadSettings: it would be larger than `MAX_BYTES`.
    """
    from safetensors.torch import save

    ordered = {name: tensors[name].contiguous() for name in sorted(tensors)}
    data = save(ordered, metadata={_CARD: card.model_dump_json()})
    if len(data) > MAX_BYTES:
        raise BadSettings(
            f"the router would have {len(data):,} bytes; at most {MAX_BYTES:,} are kept. Fit it for fewer members."
        )
    write_whole(path, data)
    return hashlib.sha256(data).hexdigest()


def read_router(path: Path) -> RouterTensors:
    """Read a router's file.

    Raises:
        BadSettings: it is not there, too large, or not a router's.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise BadSettings(f"{path} has {size:,} bytes; a router has at most {MAX_BYTES:,}. Name a router's file.")
        data = path.read_bytes()
    except OSError as error:
        raise BadSettings(f"{path} cannot be read: {error.strerror}. Fit one: consilium train router.") from error
    try:
        length = int.from_bytes(data[:8], "little")
        card = RouterCard.model_validate_json(json.loads(data[8 : 8 + length])["__metadata__"][_CARD])
        tensors = load(data)
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError, ValidationError) as error:
        raise BadSettings(f"{path} is no router of this version: {str(error)[:200]}. Fit it anew.") from error
    return RouterTensors(card=card, tensors=tensors, digest=hashlib.sha256(data).hexdigest())
