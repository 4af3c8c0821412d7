"""Hearing an arm: one member or several, once or often, or the whole council."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import cast

from consilium.council.council import Council
from consilium.council.options import AskOptions
from consilium.council.turn import Turn
from consilium.deliberation.best import best
from consilium.deliberation.chair import chair_messages
from consilium.deliberation.opinion import Opinion
from consilium.deliberation.vote import vote
from consilium.engines.protocol import Prompt, Spoken
from consilium.errors import ConsiliumError, EngineLost
from consilium.evaluation.arms import seated
from consilium.suites.cases import Case
from consilium.suites.grade import Grade
from consilium.suites.suite_file import SuiteFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One statement that an arm needs."""

    member: str
    draw: int = 0
    """The first draw is as the member sits; those after it are other draws at a temperature."""
    over: tuple[str, ...] = ()
    """Of a chair: who sits, by seat. Their statements are what it is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """Hears arms through a council and its engine, which remembers: what one arm has heard the others need not pay."""

    file: SuiteFile
    council: Council
    members: tuple[str, ...]
    """Who may sit."""

    def prompt(self, case: Case, asked: Asked) -> Prompt:
        """Return what a member is asked; the first draw's is the one that its seat in a council gets."""
        parts = self.council.parts
        arm = seated(parts.catalogue.get(asked.member))
        changes: dict[str, float] = {}
        if self.file.limits.max_tokens is not None:
            changes["max_tokens"] = self.file.limits.max_tokens
        if asked.draw:
            changes["temperature"] = max(arm.sampling.temperature, self.file.controls.temperature)
        return Prompt(
            member=asked.member,
            messages=arm.messages(case.row),
            sampling=arm.sampling.model_copy(update=changes),
            seed=parts.settings.seed + asked.draw,
            deadline_s=parts.settings.deadline_s,
        )

    def chair_prompt(self, case: Case, asked: Asked, told: Sequence[str]) -> Prompt:
        """Return what a chair is asked over these statements of the seats."""
        seats = enumerate(zip(asked.over, told, strict=True))
        opinions = [Opinion(seat=seat, member=member, weight=0.0, text=text) for seat, (member, text) in seats]
        system = self.council.parts.catalogue.get(asked.member).persona.system_prompt
        messages = chair_messages(system, case.row.request, opinions)
        return replace(self.prompt(case, Asked(member=asked.member)), messages=messages)

    def options(self, **more: object) -> AskOptions:
        """Return what a turn of the council is asked with."""
        others = [name for name in self.council.parts.catalogue.members if name not in self.members]
        given = {"max_tokens": self.file.limits.max_tokens, **self.file.council.options(), **more}
        return cast("AskOptions", {"must_not_sit": others, **given})  # which the council checks

    def drawn(self, case: Case, count: int) -> list[Asked]:
        """Return members by chance, each at most once; the same for the same case and seed."""
        chance = Random(f"{self.council.parts.settings.seed}/{case.id}")
        return [Asked(member=name) for name in chance.sample(self.members, min(count, len(self.members)))]

    async def turn(self, case: Case, arm: str, **more: object) -> Grade:
        """Return what the council answers."""
        empty = Grade(case=case.id, part=case.part.name, arm=arm)
        try:
            return _of_turn(empty, await self.council.ask(case.row.request, **self.options(**more)))
        except ConsiliumError as error:
            return empty.failed(error)

    async def together(self, case: Case, arm: str, asked: Sequence[Asked], *, by: str = "vote") -> Grade:
        """Return what statements come to whose weights are equal; those that failed are left out, as of a turn."""
        heard = await asyncio.gather(*(self._statement(case, one) for one in asked))
        spoken = [(number, found) for number, found in enumerate(heard) if isinstance(found, Spoken)]
        grade = Grade(case=case.id, part=case.part.name, arm=arm, members=tuple(one.member for one in asked))
        if not spoken:
            return grade.failed(next(found for found in heard if isinstance(found, ConsiliumError)))
        opinions = [
            Opinion(seat=number, member=asked[number].member, weight=1 / len(asked), text=found.text)
            for number, found in spoken
        ]
        return replace(
            grade,
            text=(best if by == "best" else vote)(opinions).text,
            prompt_tokens=sum(found.prompt_tokens for _, found in spoken),
            completion_tokens=sum(found.completion_tokens for _, found in spoken),
            seconds=max(found.latency_ms for _, found in spoken) / 1_000,
        )

    async def _statement(self, case: Case, asked: Asked) -> Spoken | ConsiliumError:
        try:
            async for piece in self.council.parts.engine.generate(self.prompt(case, asked)):
                if isinstance(piece, Spoken):
                    return piece
        except ConsiliumError as error:
            return error
        return EngineLost(f"{asked.member!r} ended without a statement.")


def _of_turn(empty: Grade, turn: Turn) -> Grade:
    statements = [(seat.role, seat.statement) for seat in turn.seats]
    speakers = [statement.latency_ms for role, statement in statements if role != "chair"]
    chair = [statement.latency_ms for role, statement in statements if role == "chair"]
    return replace(
        empty,
        text=turn.verdict.text,
        members=tuple(seat.member for seat in turn.seats),
        prompt_tokens=sum(statement.prompt_tokens for _, statement in statements),
        completion_tokens=turn.completion_tokens,
        seconds=(max(speakers) + sum(chair)) / 1_000,
    )
