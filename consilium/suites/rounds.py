"""Rounds: which statements each arm needs of a case; first what is known beforehand, then what hindsight tells."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace

from consilium.settings import Method
from consilium.suites.cases import Case
from consilium.suites.findings import leader
from consilium.suites.grade import Grade
from consilium.suites.hearing import Asked, Hearing
from consilium.suites.suite_file import BASE, BASE_VOTE, BEST_VOTE, COUNCIL, ORACLE, RANDOM, ROUTER

ONE_SEAT = {"seats": 1, "min_seats": 1, "method": "best"}
"""How the router is asked for its first choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """Hears the arms of a suite."""

    hearing: Hearing
    arms: tuple[str, ...]
    """Of the suite."""
    alone: tuple[str, ...]
    """Who is heard alone to every case."""
    fallback: str
    """The bare base."""

    async def first(self, case: Case) -> list[Grade]:
        """Hear whoever is heard alone, the council, the router, and the controls that need no hindsight."""
        hearing = self.hearing
        found = list(await asyncio.gather(*(hearing.together(case, name, [Asked(member=name)]) for name in self.alone)))
        if BASE in self.arms and BASE not in self.alone:
            found.append(replace(found[self.alone.index(self.fallback)], arm=BASE))
        if ROUTER in self.arms:
            found.append(await hearing.turn(case, ROUTER, **ONE_SEAT))
        times = self.hearing.file.controls.draws or 0
        if COUNCIL in self.arms:
            found.append(council := await hearing.turn(case, COUNCIL))
            times = times or len(council.members) or 1
        if RANDOM in self.arms:
            found.append(await hearing.together(case, RANDOM, hearing.drawn(case, times), by=self._counted))
        if BASE_VOTE in self.arms:
            found.append(await hearing.together(case, BASE_VOTE, draws(self.fallback, times)))
        return found

    async def second(
        self, case: Case, grades: Mapping[tuple[str, str], Grade], averages: Mapping[str, float]
    ) -> list[Grade]:
        """Hear the controls that need hindsight.

        Args:
            case: to which they are heard.
            grades: of the first round, by arm and case.
            averages: of those who were heard alone and have a score on any row.
        """
        found = []
        if ORACLE in self.arms:
            found.append(
                replace(leader([grades[name, case.id] for name in self.hearing.members], averages), arm=ORACLE)
            )
        if BEST_VOTE in self.arms:
            best = max(self.hearing.members, key=lambda name: averages.get(name, -1.0))
            council = grades.get((COUNCIL, case.id))
            times = self.hearing.file.controls.draws or (len(council.members) if council else 0) or 1
            found.append(await self.hearing.together(case, BEST_VOTE, draws(best, times)))
        return found

    async def plan(self, case: Case) -> AsyncIterator[tuple[str, Asked]]:
        """Yield the arms and the statements that they will need; in place of the best member's, the longest."""
        hearing = self.hearing
        for name in self.alone:
            yield name, Asked(member=name)
        times = hearing.file.controls.draws or 0
        for arm, more in ((ROUTER, ONE_SEAT), (COUNCIL, {})):
            if arm in self.arms:
                decision = await hearing.council.route(case.row.request, **hearing.options(**more))
                seats = self._with_chair([seat.member for seat in decision.seats])
                for asked in seats:
                    yield arm, asked
                times = (hearing.file.controls.draws or len(seats)) if arm == COUNCIL else times
        if RANDOM in self.arms:
            for asked in hearing.drawn(case, times):
                yield RANDOM, asked
        members = [name for name in hearing.members if name != self.fallback] or [self.fallback]
        longest = max(members, key=lambda name: hearing.prompt(case, Asked(member=name)).sampling.max_tokens)
        for arm, member in ((BASE_VOTE, self.fallback), (BEST_VOTE, longest)):
            if arm in self.arms:
                for asked in draws(member, times):
                    yield arm, asked

    def _with_chair(self, members: Sequence[str]) -> list[Asked]:
        """Return what the seats of a turn are asked, and its chair where it has one: over a single seat there is none.

        The router's arm seats one, so that this holds for it too.
        """
        seats = [Asked(member=name) for name in members]
        chaired = self._method == "chair" and len(seats) > 1
        return [*seats, Asked(member=self.fallback, over=tuple(members))] if chaired else seats

    @property
    def _method(self) -> Method:
        return self.hearing.file.council.method or self.hearing.council.parts.settings.deliberation

    @property
    def _counted(self) -> str:
        """How the statements of random seats become a verdict: as the council's do, but for a chair."""
        return "best" if self._method == "best" else "vote"


def draws(member: str, times: int) -> list[Asked]:
    """Return a member asked so often."""
    return [Asked(member=member, draw=draw) for draw in range(times)]
