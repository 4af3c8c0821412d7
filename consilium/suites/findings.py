"""Findings: what grades come to, arm by arm, pair by pair, part by part, member by member."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from statistics import fmean

import numpy as np

from consilium.engines.protocol import EngineInfo
from consilium.evaluation.bootstrap import Interval
from consilium.evaluation.comparison import TIMES, Comparison, Gain
from consilium.suites.cases import Case
from consilium.suites.grade import Grade
from consilium.suites.suite import Suite
from consilium.suites.suite_file import BASE_VOTE, BEST_VOTE, COUNCIL, ORACLE, RANDOM, ROUTER


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFigures:
    """What one arm earned and cost; means are over the rows without an error."""

    arm: str
    score: Interval | None
    errors: int
    """Rows without a score."""
    statements: float
    """A row."""
    prompt_tokens: float
    """A row."""
    completion_tokens: float
    """A row."""
    seconds: float
    """A row; see `Grade.seconds`."""

    @property
    def tokens(self) -> float:
        """Prompts and statements together, a row."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricFigures:
    """One metric of one arm on the rows of one part."""

    mean: float | None
    """Over the rows that have it, from 0 to 1; None where none has."""
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFigures:
    """What one member earned alone, and how often it was wanted."""

    member: str
    score: Interval | None
    errors: int
    best: int
    """Rows on which it was the best."""
    routed: int
    """Rows for which it was the router's first choice."""
    seated: int
    """Rows for which it sat in the council."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What came of an evaluation that reached its end."""

    suite: Suite
    cases: tuple[Case, ...]
    grades: Mapping[tuple[str, str], Grade]
    """By arm and case; the members that were heard alone are arms too."""
    engine: EngineInfo
    """That spoke."""
    seed: int
    """Of all draws."""

    @cached_property
    def arms(self) -> tuple[str, ...]:
        """The arms of the suite, the subject first."""
        file = self.suite.file
        return tuple(dict.fromkeys([file.subject, *file.arms]))

    @property
    def alone(self) -> tuple[str, ...]:
        """Everybody who may sit, where all of them were heard alone; else nobody, since the best is not known."""
        return self.suite.members if set(self.suite.members) <= set(self.suite.alone) else ()

    @cached_property
    def comparison(self) -> Comparison:
        """All arms and members, on all cases."""
        return compared(tuple(dict.fromkeys([*self.arms, *self.alone])), self.cases, self.grades)

    @cached_property
    def best(self) -> str | None:
        """The member that does best on these rows: chosen with hindsight, in the control's favour."""
        return self.comparison.best(self.alone)

    @property
    def labels(self) -> dict[str, str]:
        """What a report calls each arm."""
        draws = self.suite.file.controls.draws or "k"
        names = {
            BASE_VOTE: f"base {TIMES}{draws}",
            BEST_VOTE: f"best member {TIMES}{draws}",
            RANDOM: "random seats",
            ORACLE: "oracle (hindsight)",
        }
        return {arm: names.get(arm, arm) for arm in self.comparison.arms}

    def figures(self, arm: str) -> ArmFigures:
        """Return what an arm earned and cost."""
        grades = [grade for case in self.cases if (grade := self.grades[arm, case.id]).score is not None]
        return ArmFigures(
            arm=arm,
            score=self.comparison.mean(arm),
            errors=self.comparison.errors(arm),
            statements=_mean(len(grade.members) for grade in grades),
            prompt_tokens=_mean(grade.prompt_tokens for grade in grades),
            completion_tokens=_mean(grade.completion_tokens for grade in grades),
            seconds=_mean(grade.seconds for grade in grades),
        )

    def gains(self) -> list[Gain]:
        """Return how far the subject is above each other arm."""
        return [self.comparison.gain(self.arms[0], arm) for arm in self.arms[1:]]

    def pairs(self) -> list[Gain]:
        """Return how far each arm is above each that comes after it."""
        return [self.comparison.gain(above, below) for above, below in combinations(self.arms, 2)]

    def parts(self) -> dict[str, dict[str, dict[str, MetricFigures]]]:
        """Return figures by part, metric and arm."""
        parts: dict[str, list[Case]] = {}
        for case in self.cases:
            parts.setdefault(case.part.name, []).append(case)
        return {
            name: {
                metric: {arm: self._metric(metric, arm, cases) for arm in self.arms} for metric in cases[0].part.metrics
            }
            for name, cases in parts.items()
        }

    def members(self) -> list[MemberFigures]:
        """Return what each member earned alone, the best first."""
        best = Counter(self.best_of(case) for case in self.cases if self.alone)
        routed = Counter(self.choice(case) for case in self.cases)
        seated = Counter(
            name for case in self.cases if COUNCIL in self.arms for name in set(self.grades[COUNCIL, case.id].members)
        )
        found = [
            MemberFigures(
                member=name,
                score=self.comparison.mean(name),
                errors=self.comparison.errors(name),
                best=best[name],
                routed=routed[name],
                seated=seated[name],
            )
            for name in self.alone
        ]
        return sorted(found, key=lambda each: each.score.difference if each.score else -1, reverse=True)

    def best_of(self, case: Case) -> str | None:
        """Return the member that earned most on a case; None where nobody earned anything.

        Of several it is the router's choice, if that is among them.
        """
        alone = [self.grades[name, case.id] for name in self.alone]
        best = leader(alone, self._averages)
        choice = next((grade for grade in alone if grade.arm == self.choice(case)), best)
        return (choice if choice.score == best.score else best).arm if best.score else None

    def choice(self, case: Case) -> str | None:
        """Return the router's first choice for a case; None where no router was asked, or its turn failed."""
        arm = ROUTER if ROUTER in self.arms else COUNCIL
        grade = self.grades.get((arm, case.id))
        return grade.members[0] if grade and grade.members else None

    def confusion(self) -> tuple[list[str], list[list[int]]] | None:
        """Return members, and how often each [best, chosen] pair of them was; None without a router or members."""
        pairs = Counter((self.best_of(case), self.choice(case)) for case in self.cases if self.alone)
        known = {pair: count for pair, count in pairs.items() if None not in pair}
        names = [name for name in self.suite.members if any(name in pair for pair in known)]
        return (names, [[known.get((best, chosen), 0) for chosen in names] for best in names]) if names else None

    @cached_property
    def _averages(self) -> dict[str, float]:
        return self.comparison.averages()

    def _metric(self, metric: str, arm: str, cases: Sequence[Case]) -> MetricFigures:
        scores = [self.grades[arm, case.id].scores.get(metric) for case in cases]
        known = [score for score in scores if score is not None]
        return MetricFigures(mean=fmean(known) if known else None, errors=len(scores) - len(known))


def compared(arms: tuple[str, ...], cases: Sequence[Case], grades: Mapping[tuple[str, str], Grade]) -> Comparison:
    """Return arms beside each other."""
    scores = [[grades[arm, case.id].score for case in cases] for arm in arms]
    return Comparison(arms=arms, scores=np.array([[np.nan if s is None else s for s in row] for row in scores]))


def leader(alone: Sequence[Grade], averages: Mapping[str, float]) -> Grade:
    """Return the grade of whoever did best on a case; of equals, of the member that does best over all."""

    def merit(grade: Grade) -> tuple[float, float]:
        return -1.0 if grade.score is None else grade.score, averages.get(grade.arm, -1.0)

    return max(alone, key=merit)


def _mean(values: Iterable[float]) -> float:
    return fmean(known) if (known := list(values)) else 0.0
