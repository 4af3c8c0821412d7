"""Who may sit in a play: the cast out of a catalogue, and the characters that come with the script."""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from consilium.errors import BadPersona
from consilium.members.card_exchange import DEFAULT_GROUP
from consilium.members.card_files import read_card_file
from consilium.members.cards import parse_card, persona_from, slug_of
from consilium.members.catalogue import Catalogue, Group, Member

if TYPE_CHECKING:
    from consilium.scripts.script import Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Casting:
    """The cast as members of one catalogue."""

    script: "Script"
    catalogue: Catalogue
    chosen: tuple[str, ...]
    """Who may sit by the policy, in the order of the cast; neither the pinned nor the mute."""
    pinned: tuple[str, ...]
    """Who sits in every turn."""
    mute: frozenset[str]

    @classmethod
    def of(cls, script: "Script", catalogue: Catalogue) -> Self:
        """Return the cast of a script whose names are all in the catalogue."""
        cast = script.file.cast
        named = [script.member(name) for name in cast.members]
        named += [name for group in cast.groups for name in catalogue.groups[group].members]
        named += [persona.name for persona in (_card_member(script, n).persona for n in range(len(cast.cards)))]
        pinned = tuple(dict.fromkeys(script.member(name) for name in cast.pinned))
        mute = frozenset(script.member(name) for name in cast.mute)
        chosen = [name for name in dict.fromkeys(named or catalogue.members) if name not in (*pinned, *mute)]
        return cls(script=script, catalogue=catalogue, chosen=tuple(chosen), pinned=pinned, mute=mute)

    def check(self) -> None:
        """Raise `BadScript` where nobody is left to sit, or the limits contradict each other."""
        fault, speakers = self.script.source.fault, self.script.file.speakers
        if lacking := [name for name in self.chosen if name not in self.catalogue.members]:
            raise fault(("cast", "cards"), f"this council has no {lacking[0]!r}. Open it with `script.open()`.")
        if both := self.mute & set(self.pinned):
            raise fault(("cast", "pinned"), f"{min(both)!r} is pinned and mute. Take it out of one of the two.")
        if not self.chosen and not self.pinned:
            raise fault(("cast",), "nobody of the cast may sit. Name a member, or mute fewer.")
        seated = {self.script.member(name) for _, turn in self.script.file.all_turns() for name in turn.members}
        if muted := self.mute & (seated | {self.script.member(name) for name in speakers.order}):
            raise fault(
                ("cast", "mute"), f"{min(muted)!r} is mute, and a turn names it. Take it out of one of the two."
            )
        for before, then in speakers.may_follow.items():
            if not {self.script.member(name) for name in then} & set(self.chosen):
                raise fault(("speakers", "may_follow", before), "names nobody of the cast. Add somebody who may sit.")
        weights = self.talkativeness()
        if self.chosen and speakers.policy == "talkativeness" and not any(weights.values()):
            raise fault(("speakers", "talkativeness"), "weighs everybody of the cast 0. Let somebody talk.")

    def talkativeness(self) -> dict[str, float]:
        """Return each chosen member's weight of the draw."""
        given = {self.script.member(name): weight for name, weight in self.script.file.speakers.talkativeness.items()}
        return {name: given.get(name, 1.0) for name in self.chosen}

    def may_follow(self, before: str | None) -> tuple[str, ...]:
        """Return who of the chosen may sit after whose words were the verdict; None: at the beginning."""
        table = self.script.file.speakers.may_follow
        follows = {
            self.script.member(name): {self.script.member(other) for other in then} for name, then in table.items()
        }
        return tuple(name for name in self.chosen if before not in follows or name in follows[before])


def with_cards(script: "Script", catalogue: Catalogue) -> Catalogue:
    """Return the catalogue with the script's characters, bound to no adapter; nothing is written.

    Raises:
        BadScript: a card cannot be used, or its member is there already.
    """
    members = dict(catalogue.members)
    groups = dict(catalogue.groups)
    for number in range(len(script.file.cast.cards)):
        member = _card_member(script, number)
        if member.name in members:
            raise script.source.fault(
                ("cast", "cards", number), f"a member {member.name!r} is there already. Name it under members instead."
            )
        members[member.name] = member
        crowd = groups.get(DEFAULT_GROUP) or Group(description="Characters of the script.", members=(member.name,))
        groups[DEFAULT_GROUP] = crowd.model_copy(
            update={"members": tuple(dict.fromkeys((*crowd.members, member.name)))}
        )
    return replace(catalogue, members=MappingProxyType(members), groups=MappingProxyType(groups))


def _card_member(script: "Script", number: int) -> Member:
    path = script.folder / script.file.cast.cards[number]
    try:
        found = read_card_file(path)
        card = parse_card(found.text, where=found.where).card
        name = slug_of(card, where=found.where)
        persona = persona_from(card, name=name, group=DEFAULT_GROUP, where=found.where)
    except BadPersona as error:
        raise script.source.fault(("cast", "cards", number), str(error)) from error
    return Member(persona=persona.model_copy(update={"training": None}), adapter=None)
