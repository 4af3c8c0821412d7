"""Speaker policies: who may sit in the next turn, as what a council is asked."""

import hashlib
from collections.abc import Sequence
from random import Random

from consilium.council.options import AskOptions
from consilium.council.turn import Turn
from consilium.scripts.cast import Casting
from consilium.scripts.steps import Step


class SpeakerPolicy:
    """Goes with one play and remembers who sat.

    Pooled and weighted orders as in group chats of role-play programs; the may-follow table as the speaker transitions
    of AutoGen's group chat. Every draw is a function of the seed and the turn's number.

    Args:
        casting: the cast.
        seats: at most so many sit where neither turn nor script says.
        seed: of the draws.
    """

    def __init__(self, casting: Casting, *, seats: int, seed: int) -> None:
        self._casting = casting
        self._speakers = casting.script.file.speakers
        self._default_seats = seats if self._speakers.policy == "router" else 1
        self._seed = seed
        self._turns = 0
        self._ordered = 0
        self._next = 0
        """Place in the cast of who is next in turn (``round-robin``)."""
        self._round: set[str] = set()
        """Who sat in this round (``everyone-once``)."""
        self._last: str | None = None
        """Whose words the last verdict is."""

    def options(self, step: Step) -> AskOptions:
        """Return who may sit in this turn. Raises `BadScript` where the script leaves nobody."""
        casting = self._casting
        if step.turn.members:
            named = [casting.script.member(name) for name in step.turn.members]
            return AskOptions(members=tuple(dict.fromkeys(named)))
        allowed = casting.may_follow(self._last)
        seats = step.turn.seats or self._speakers.seats or self._default_seats
        match self._speakers.policy:
            case "router":
                return self._routed(allowed, seats)
            case "everyone-once":
                waiting = [name for name in allowed if name not in self._round]
                if not waiting:
                    self._round.clear()
                return self._routed(waiting or allowed, seats)
            case "order":
                return self._pinned([casting.script.member(self._speakers.order[self._ordered])])
            case "round-robin":
                return self._pinned(self._in_turn(allowed, seats))
            case "talkativeness":
                return self._pinned(self._drawn(allowed, seats, step))

    def sat(self, turn: Turn, step: Step) -> None:
        """Remember who sat, and whose words the verdict is."""
        self._turns += 1
        names = {seat.number: seat.member for seat in turn.seats}
        self._last = names[turn.verdict.source_seat]
        if step.turn.members:
            return
        self._ordered += 1
        spoke = [seat.member for seat in turn.seats if seat.role == "speaker"]  # and no chair
        chosen = [name for name in spoke if name in self._casting.chosen]
        self._round.update(chosen)
        if chosen:
            self._next = self._casting.chosen.index(chosen[-1]) + 1

    def _routed(self, allowed: Sequence[str], seats: int) -> AskOptions:
        pinned = self._casting.pinned
        others = [name for name in self._casting.catalogue.members if name not in allowed and name not in pinned]
        if not allowed:
            return AskOptions(members=pinned)
        return AskOptions(must_sit=pinned, must_not_sit=others, seats=seats + len(pinned))

    def _pinned(self, chosen: Sequence[str]) -> AskOptions:
        return AskOptions(members=tuple(dict.fromkeys((*chosen, *self._casting.pinned))))

    def _in_turn(self, allowed: Sequence[str], seats: int) -> list[str]:
        chosen = self._casting.chosen
        waiting = [*chosen[self._next :], *chosen[: self._next]]
        return [name for name in waiting if name in allowed][:seats]

    def _drawn(self, allowed: Sequence[str], seats: int, step: Step) -> list[str]:
        weights = {name: weight for name, weight in self._casting.talkativeness().items() if name in allowed and weight}
        if not weights and not self._casting.pinned:
            raise self._casting.script.source.fault(
                step.place, f"after {self._last!r} nobody may follow who has any talkativeness. Let somebody talk."
            )
        text = f"{self._seed}\0{self._turns}"
        chance = Random(hashlib.sha256(text.encode()).digest())
        drawn: list[str] = []
        while weights and len(drawn) < seats:
            (name,) = chance.choices(list(weights), list(weights.values()))
            drawn.append(name)
            del weights[name]
        return drawn
