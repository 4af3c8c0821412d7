"""The catalogue: all members and groups a council can draw from."""

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from consilium.errors import AdapterRefused, BadPersona, UnknownMember
from consilium.members.adapter import Adapter, read_adapter
from consilium.members.persona import Persona, Slug, Text, read_toml

CATALOGUE_FILE = "catalogue.toml"
PERSONA_FILE = "persona.toml"
ADAPTER_FOLDER = "adapter"


class Group(BaseModel):
    """A named set of members; the first level of the hierarchy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: Text
    members: Annotated[tuple[Slug, ...], Field(min_length=1)]


class CatalogueFile(BaseModel):
    """The schema of ``catalogue.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    fallback: Slug
    """The member without an adapter that sits when nobody else fits."""
    groups: dict[Slug, Group]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A persona bound to its adapter, or to none: the bare base."""

    persona: Persona
    adapter: Adapter | None

    @property
    def name(self) -> str:
        """The persona's slug."""
        return self.persona.name

    @property
    def content_name(self) -> str:
        """``slug@sha256[:12]`` of the adapter; the slug alone for the bare base."""
        return self.name if self.adapter is None else f"{self.name}@{self.adapter.pin.digest[:12]}"

    def check_base(self, base: str) -> None:
        """Raise `AdapterRefused` where it was trained on another base than an engine serves."""
        if self.adapter is not None and self.adapter.pin.base != base:
            raise AdapterRefused(
                f"{self.name!r} was trained on base {self.adapter.pin.base!r}, this engine serves {base!r}. Train the "
                "member on this base, or open the council with the other one."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Members by name, in the order of ``catalogue.toml``."""

    root: Path
    members: Mapping[str, Member]
    groups: Mapping[str, Group]
    fallback: str

    @classmethod
    def load(cls, root: Path, *, untrained: str = "") -> Self:
        """Read ``root/catalogue.toml`` and every member's folder; adapters are checked, their tensors not yet read.

        Args:
            root: the folder.
            untrained: name of a member that is about to be trained: whatever adapter it has is not looked at.

        Raises:
            BadPersona: a file is malformed, or the files contradict each other.
            AdapterRefused: an adapter may not be loaded.
        """
        file = read_toml(root / CATALOGUE_FILE, CatalogueFile)
        names = [name for group in file.groups.values() for name in group.members]
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise BadPersona(f"{root / CATALOGUE_FILE} lists {twice[0]!r} twice. Keep each member once, in one group.")
        members = {name: load_member(root, name, trained=name != untrained) for name in names}
        _check_consistent(file, members, root / CATALOGUE_FILE)
        return cls(
            root=root,
            members=MappingProxyType(members),
            groups=MappingProxyType(dict(file.groups)),
            fallback=file.fallback,
        )

    @property
    def group_of(self) -> dict[str, int]:
        """The number of each member's group, from 0 in the order of the file."""
        numbers = {group: number for number, group in enumerate(self.groups)}
        return {name: numbers[member.persona.group] for name, member in self.members.items()}

    def get(self, name: str) -> Member:
        """Return the member called ``name``.

        Raises:
            UnknownMember: nobody is called that; the message proposes the nearest names.
        """
        if (member := self.members.get(name)) is not None:
            return member
        near = difflib.get_close_matches(name, self.members, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(self.members)}."
        raise UnknownMember(f"no member is called {name!r}. {hint}")

    def pick(self, names: Iterable[str]) -> tuple[Member, ...]:
        """Return the named members in the order given, each once. Raises `UnknownMember`."""
        return tuple(self.get(name) for name in dict.fromkeys(names))


def load_member(root: Path, name: str, *, trained: bool = True) -> Member:
    """Read one member's folder under ``root``, with its adapter or without. Raises `BadPersona` or `AdapterRefused`."""
    folder = root / name
    persona = Persona.read(folder / PERSONA_FILE)
    if persona.name != name:
        raise BadPersona(f"{folder / PERSONA_FILE} names {persona.name!r}. Name the persona as its folder: {name!r}.")
    pin = persona.adapter if trained else None
    adapter = None if pin is None else read_adapter(folder / ADAPTER_FOLDER, root=root, pin=pin)
    return Member(persona=persona, adapter=adapter)


def _check_consistent(file: CatalogueFile, members: Mapping[str, Member], where: Path) -> None:
    for slug, group in file.groups.items():
        for name in group.members:
            if members[name].persona.group != slug:
                raise BadPersona(
                    f"{where} lists {name!r} under {slug!r}, its persona says {members[name].persona.group!r}. "
                    "Make the two agree."
                )
    fallback = members.get(file.fallback)
    if fallback is None or fallback.adapter is not None:
        raise BadPersona(f"{where}: fallback = {file.fallback!r} must be a listed member without an adapter.")
