"""Grades: what an arm answered to a case, and what that earned."""

import html
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from consilium.scripts.judge import Judge
from consilium.suites.cases import Case
from consilium.suites.suite_file import JudgeTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """One arm on one case. Where there is an error there is no score; it is never a zero."""

    case: str
    part: str
    arm: str
    text: str = ""
    members: tuple[str, ...] = ()
    """Who spoke; a member that was heard several times is there as often."""
    score: float | None = None
    """The part's first metric, from 0 to 1."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Every metric that could be had."""
    error: str | None = None
    """Class name of what kept the arm, its metric or its judge from a result."""
    error_message: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Of all its statements."""
    seconds: float = 0.0
    """That its slowest statement took, those of one case being made together; and its chair's."""

    @property
    def tokens(self) -> int:
        """Prompts and statements together."""
        return self.prompt_tokens + self.completion_tokens

    def failed(self, error: Exception) -> "Grade":
        """Return the same with an error."""
        return replace(self, score=None, error=type(error).__name__, error_message=str(error))

    def _repr_html_(self) -> str:
        result = self.error or (f"{self.score:.2f}" if self.score is not None else "")
        head = f"<b>{html.escape(self.arm)}</b> {html.escape(self.case)} <i>{html.escape(result)}</i>"
        return f"{head}<pre>{html.escape(self.text)}</pre>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grader:
    """Scores answers by the metrics of their part, and by judges."""

    judge: Judge
    judges: Mapping[str, JudgeTable]

    async def graded(self, case: Case, answer: Grade) -> Grade:
        """Return the answer with its scores; what a metric or a judge fails of has none."""
        if answer.error is not None:
            return answer
        scores: dict[str, float] = {}
        failure: Exception | None = None
        for name in case.part.metrics:
            try:
                scores[name] = await self._score(name, case, answer.text)
            except Exception as error:  # whatever a metric or a judge may come to grief over
                failure = failure or error
        graded = replace(answer, scores=scores, score=scores.get(case.part.metrics[0]))
        return graded if failure is None else replace(graded.failed(failure), score=graded.score)

    async def _score(self, name: str, case: Case, text: str) -> float:
        if name in case.part.measures:
            return case.part.measures[name].each(text, case.row)
        judge = self.judges[name]
        return await self.judge.certainty(judge.question, case.row.request, text, by=judge.by)
