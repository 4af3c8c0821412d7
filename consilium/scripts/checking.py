"""Whether what a script expects holds."""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Self

from consilium.council.turn import Turn
from consilium.errors import BadPersona, BadRows, ConsiliumError
from consilium.evaluation.work import WORKS, Metric
from consilium.scripts.expectation import Expectation, Judged, Number
from consilium.scripts.judge import Judge
from consilium.scripts.patterns import compiled, misfit
from consilium.scripts.play import Check, PlayedTurn
from consilium.scripts.template import filled
from consilium.training.rows import Row

METRICS: Mapping[str, Metric] = {
    name: metric for work in reversed(list(WORKS.values())) for name, metric in work.metrics.items()
}
"""By name; where two works share one the earlier counts, so that ``exact_match`` is of texts and not of queries."""

_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?|[-+]?\.\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What there is to check: of one turn, or of a whole play."""

    message: str
    text: str
    sat: frozenset[str]
    abstained: bool
    tokens: int
    agreement: float
    dissent: bool

    @classmethod
    def of_turn(cls, turn: Turn) -> Self:
        """Return what a turn shows."""
        return cls(
            message=turn.message,
            text=turn.verdict.text,
            sat=frozenset(seat.member for seat in turn.seats),
            abstained=turn.decision.abstained,
            tokens=turn.completion_tokens,
            agreement=turn.verdict.agreement,
            dissent=bool(turn.verdict.dissent),
        )

    @classmethod
    def of_play(cls, turns: Sequence[PlayedTurn]) -> Self:
        """Return what a play of at least one turn shows."""
        each = [cls.of_turn(played.turn) for played in turns]
        return cls(
            message=each[-1].message,
            text=each[-1].text,
            sat=frozenset().union(*(seen.sat for seen in each)),
            abstained=any(seen.abstained for seen in each),
            tokens=sum(played.tokens for played in turns),
            agreement=fmean(seen.agreement for seen in each),
            dissent=any(seen.dissent for seen in each),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Checking:
    """Checks expectations, with all that they may refer to."""

    judge: Judge
    member: Callable[[str], str]
    """Returns the member that a role stands for."""
    values: Mapping[str, str]
    """Of the names in braces."""
    line: Callable[[str], int]
    """Returns the line of an expectation's field."""

    async def checks(self, expected: Expectation, seen: Seen) -> tuple[Check, ...]:
        """Return one check for each expectation that is stated, in the order of the fields."""
        found = [*self._who(expected, seen), *self._what(expected, seen), *self._how(expected, seen)]
        return (*found, *[check async for check in self._judgements(expected.judged, seen)])

    def _check(self, name: str, wanted: object, found: object, *, held: bool) -> Check:
        return Check(name=name, wanted=str(wanted), found=str(found), held=held, line=self.line(name))

    def _who(self, expected: Expectation, seen: Seen) -> Iterator[Check]:
        sat = ", ".join(sorted(seen.sat))
        for name in map(self.member, expected.sits):
            yield self._check("sits", name, sat, held=name in seen.sat)
        for name in map(self.member, expected.absent):
            yield self._check("absent", name, sat, held=name not in seen.sat)
        if expected.abstained is not None:
            held = seen.abstained == expected.abstained
            yield self._check("abstained", expected.abstained, seen.abstained, held=held)

    def _what(self, expected: Expectation, seen: Seen) -> Iterator[Check]:
        if expected.equals is not None:
            wanted = filled(expected.equals, self.values)
            yield self._check("equals", wanted, seen.text, held=seen.text.strip() == wanted.strip())
        if expected.matches is not None:
            held = bool(compiled(expected.matches).search(seen.text))
            yield self._check("matches", expected.matches, seen.text, held=held)
        if expected.json_schema is not None:
            why = misfit(seen.text, expected.json_schema)
            yield self._check("json_schema", "fits", why or "fits", held=why is None)
        if expected.number is not None:
            yield self._number(expected.number, seen.text)
        for measured in expected.metrics:
            references = [filled(reference, self.values) for reference in measured.references]
            yield self._metric(measured.name, references, measured.at_least, seen)

    def _how(self, expected: Expectation, seen: Seen) -> Iterator[Check]:
        if (most := expected.tokens_at_most) is not None:
            yield self._check("tokens_at_most", most, seen.tokens, held=seen.tokens <= most)
        if (least := expected.agreement_at_least) is not None:
            # Weights that sum to 1 do so but for the last bits.
            held = round(seen.agreement, 9) >= least
            yield self._check("agreement_at_least", least, f"{seen.agreement:.3f}", held=held)
        if expected.dissent_kept is not None:
            held = seen.dissent == expected.dissent_kept
            yield self._check("dissent_kept", expected.dissent_kept, seen.dissent, held=held)

    def _number(self, expected: Number, text: str) -> Check:
        found = number_in(text)
        least = float("-inf") if expected.least is None else expected.least
        most = float("inf") if expected.most is None else expected.most
        if expected.near is not None:
            near = filled(expected.near, self.values) if isinstance(expected.near, str) else expected.near
            try:
                least, most = float(near) - expected.within, float(near) + expected.within
            except ValueError:
                return self._check("number", f"near {near!r}, which is no number", text, held=False)
        held = found is not None and least <= found <= most
        return self._check(
            "number", f"from {least:g} to {most:g}", "none" if found is None else f"{found:g}", held=held
        )

    def _metric(self, name: str, references: Sequence[str], least: float, seen: Seen) -> Check:
        wanted = f"{name} >= {least:g}"
        try:
            score = scored(name, seen.text, seen.message, references)
        except (BadRows, BadPersona) as error:
            return self._check("metrics", wanted, f"no figure: {error}", held=False)
        return self._check("metrics", wanted, f"{score:.3f}", held=score >= least)

    async def _judgements(self, questions: Sequence[Judged], seen: Seen) -> AsyncIterator[Check]:
        for judged in questions:
            question = filled(judged.question, self.values)
            wanted = f"{question} >= {judged.at_least:g}"
            try:
                by = self.member(judged.by) if judged.by else None
                score = await self.judge.certainty(question, seen.message, seen.text, by=by)
            except ConsiliumError as error:
                yield self._check("judged", wanted, f"no figure: {error}", held=False)
            else:
                yield self._check("judged", wanted, f"{score:.3f}", held=score >= judged.at_least)


def scored(name: str, text: str, message: str, references: Sequence[str]) -> float:
    """Return a metric of one text.

    Raises:
        BadRows, BadPersona: it cannot be had with these references.
        MissingExtra: it needs a package that is not installed.
    """
    return METRICS[name].each(text, Row(request=message, replies=tuple(references)))


def number_in(text: str) -> float | None:
    """Return the last number in a text; None where there is none.

    >>> number_in("3 boats of 1,250.5 tons"), number_in("none")
    (1250.5, None)
    """
    found = _NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None
