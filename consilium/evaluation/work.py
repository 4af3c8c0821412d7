"""Work: the metrics of each kind of work that a member may do, and the one of them that a table shows."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

from consilium.errors import BadPersona, BadRows
from consilium.evaluation.command import first_utility_match, flag_f1
from consilium.evaluation.copying import copy_rate, grams, is_copy
from consilium.evaluation.coverage import slot_coverage
from consilium.evaluation.frame import frame_match, slot_f1
from consilium.evaluation.label import label_match, macro_f1
from consilium.evaluation.query import aggregate_match, operators_match, query_match, structure_match
from consilium.evaluation.split import two_sentences, words_kept
from consilium.evaluation.style import Voice
from consilium.evaluation.texts import chrf, corpus_chrf, exact_match
from consilium.members.catalogue import Member
from consilium.training.rows import Row

STYLE = "style_accuracy"
"""The headline of speaking in a voice."""

Each: TypeAlias = Callable[[str, Row], float]
"""The share that one statement earns on its row."""
Whole: TypeAlias = Callable[[Sequence[str], Sequence[Row]], float]
"""The share that all statements earn on all rows."""
Trivial: TypeAlias = Callable[[Sequence[Row]], list[str]]
"""What could be said to each row without any skill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure, from 0 to 1, and how it is made of the rows."""

    meaning: str
    """Share of what."""
    each: Each
    whole: Whole | None = None
    """The figure of a corpus, where that is not the mean of ``each``."""
    resampled_whole: bool = False
    """Whether an interval needs ``whole`` on each resample; else it takes the mean of ``each``."""

    def over(self, statements: Sequence[str], rows: Sequence[Row]) -> float:
        """Return the figure of the whole corpus, a share from 0 to 1."""
        if self.whole is not None:
            return self.whole(statements, rows)
        return sum(self.of_each(statements, rows)) / len(rows)

    def of_each(self, statements: Sequence[str], rows: Sequence[Row]) -> list[float]:
        """Return the share that each statement earns on its row."""
        return [self.each(statement, row) for statement, row in zip(statements, rows, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A kind of work: what its statements are scored with, and what a fool would score.

    >>> row = Row(request="Which boat?", replies=("the Sea Mew",))
    >>> WORKS["correction"].score(["the Sea  Mew"], [row])["exact_match"]
    1.0
    """

    metrics: Mapping[str, Metric]
    headline: str
    """The metric that a table shows and an interval is of."""
    trivial_statements: Trivial

    def __post_init__(self) -> None:
        if self.headline not in self.metrics:
            names = ", ".join(self.metrics)
            raise BadPersona(f"headline {self.headline!r} is no metric of this work. Name one of {names}.")

    def with_headline(self, headline: str | None) -> Self:
        """Return this work with another headline (None: its own). Raises `BadPersona` where it has no such metric."""
        return self if headline is None else replace(self, headline=headline)

    def reaches(self, statement: str, row: Row, least: Mapping[str, float]) -> bool:
        """Return whether a statement reaches so much in each metric. Raises `BadPersona` where one is no metric."""
        if unknown := least.keys() - self.metrics.keys():
            raise BadPersona(f"{min(unknown)!r} is no metric of this work. Name one of {', '.join(self.metrics)}.")
        return all(self.metrics[name].each(statement, row) >= share for name, share in least.items())

    def score(self, statements: Sequence[str], rows: Sequence[Row]) -> dict[str, float]:
        """Return each metric over the statements, one a row, as a share from 0 to 1.

        Raises:
            BadRows: there are no rows, or not as many statements, or a row cannot be scored on.
            MissingExtra: a metric needs sacrebleu or scikit-learn, and it is not installed.
        """
        _check(statements, rows)
        return {name: metric.over(statements, rows) for name, metric in self.metrics.items()}

    def per_row(self, statements: Sequence[str], rows: Sequence[Row]) -> list[float]:
        """Return what each statement earns in the headline metric, as a share from 0 to 1.

        Their mean is the figure of `score`, save for chrF (there corpus chrF, here sentence chrF) and for macro-F1
        (here 1 for a right label).

        Raises:
            BadRows: as `score`.
        """
        _check(statements, rows)
        return self.metrics[self.headline].of_each(statements, rows)

    def trivial(self, rows: Sequence[Row]) -> dict[str, float]:
        """Return `score` for what takes no skill, on the same rows: print it beside every member's.

        The input again; or what is always the same: the rows' commonest reply where replies repeat (label, frame),
        ``find`` for a command, and a query with one condition.
        """
        return self.score(self.trivial_statements(rows), rows)


def work_of(member: Member, voice: Voice | None = None) -> Work:
    """Return the member's work, with the headline that its persona asks for.

    Raises:
        BadRows: the persona has no [training] table, or its metric is ``style`` and there is no voice.
        BadPersona: its headline is no metric of its work.
    """
    training = member.persona.training
    metric = training.metric if training else None
    work = style_work(voice) if metric == "style" and voice else WORKS.get(metric or "")
    if training is None or work is None:
        raise BadRows(
            f"{member.name!r} has metric {metric!r} and its voice is {voice!r}; it cannot be scored. "
            "Mend its [training]."
        )
    return work.with_headline(training.headline)


def style_work(voice: Voice) -> Work:
    """Return the work of speaking in a voice, which has to be learned before it can be scored."""
    learned = grams(voice.learned)
    return Work(
        headline=STYLE,
        metrics={
            STYLE: Metric(
                meaning="statements taken for the author's, not for another's or the bare base's",
                each=lambda said, _row: voice.classifier.accuracy([said], voice.author),
                whole=lambda statements, _rows: voice.classifier.accuracy(statements, voice.author),
            ),
            "copy_rate": Metric(
                meaning="a statement's 4-grams that stand in the training replies; the mean",
                each=lambda said, _row: copy_rate(said, learned),
            ),
        },
        trivial_statements=_inputs,
    )


def _input(row: Row) -> str:
    return row.input or row.request


def _inputs(rows: Sequence[Row]) -> list[str]:
    return [_input(row) for row in rows]


def _always(statement: str) -> Trivial:
    return lambda rows: [statement] * len(rows)


def _commonest_reply(rows: Sequence[Row]) -> list[str]:
    return [Counter(row.replies[0] for row in rows).most_common(1)[0][0]] * len(rows)


def _against_replies(metric: Callable[[str, Sequence[str]], float], meaning: str) -> Metric:
    return Metric(meaning=meaning, each=lambda said, row: metric(said, row.replies))


def _replies(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    return [row.replies for row in rows]


def _check(statements: Sequence[str], rows: Sequence[Row]) -> None:
    if not rows or len(statements) != len(rows):
        raise BadRows(f"{len(statements)} statements on {len(rows)} rows. Score one statement for each row.")


_CHRF = Metric(
    meaning="chrF over the corpus, against the nearest accepted reply",
    each=lambda said, row: chrf(said, row.replies),
    whole=lambda statements, rows: corpus_chrf(statements, _replies(rows)),
)
_COPY_CHRF = Metric(
    meaning="chrF of the copied input, whatever was said: the floor under chrF",
    each=lambda _said, row: chrf(_input(row), row.replies),
    whole=lambda _statements, rows: corpus_chrf(_inputs(rows), _replies(rows)),
)
_EXACT = _against_replies(exact_match, "statements that are an accepted reply, white space aside")

WORKS: Mapping[str, Work] = {
    "frame": Work(
        headline="frame_match",
        metrics={
            "frame_match": _against_replies(frame_match, "frames with the right intent and every slot right"),
            "slot_f1": _against_replies(slot_f1, "F1 of a statement's slots; the mean"),
        },
        trivial_statements=_commonest_reply,
    ),
    "label": Work(
        headline="accuracy",
        metrics={
            "accuracy": _against_replies(label_match, "statements that are an accepted label"),
            "macro_f1": Metric(
                meaning="F1 of a label; the mean over the labels that are due",
                each=lambda said, row: label_match(said, row.replies),
                whole=lambda statements, rows: macro_f1(statements, _replies(rows)),
                resampled_whole=True,
            ),
        },
        trivial_statements=_commonest_reply,
    ),
    "correction": Work(
        headline="exact_match",
        metrics={"exact_match": _EXACT, "chrf": _CHRF, "copy_chrf": _COPY_CHRF},
        trivial_statements=_inputs,
    ),
    "split": Work(
        headline="chrf",
        metrics={
            "chrf": _CHRF,
            "copy_chrf": _COPY_CHRF,
            "two_sentence_rate": Metric(
                meaning="statements of exactly two finished sentences", each=lambda said, _row: two_sentences(said)
            ),
            "words_kept": Metric(
                meaning="the input's words that a statement holds; the mean",
                each=lambda said, row: words_kept(said, _input(row)),
            ),
            "exact_match": _EXACT,
        },
        trivial_statements=_inputs,
    ),
    "coverage": Work(
        headline="chrf",
        metrics={
            "chrf": _CHRF,
            "slot_coverage": Metric(
                meaning="the input's attributes that a statement realises; the mean",
                each=lambda said, row: slot_coverage(said, _input(row)),
            ),
        },
        trivial_statements=_inputs,
    ),
    "translation": Work(
        headline="chrf",
        metrics={
            "chrf": _CHRF,
            "copy_rate": Metric(
                meaning="statements that are the input again; less is better",
                each=lambda said, row: is_copy(said, _input(row)),
            ),
        },
        trivial_statements=_inputs,
    ),
    "command": Work(
        headline="first_utility",
        metrics={
            "chrf": _CHRF,
            "first_utility": _against_replies(first_utility_match, "commands whose first utility is right"),
            "flag_f1": _against_replies(flag_f1, "F1 of a command's option flags; the mean"),
        },
        trivial_statements=_always("find"),
    ),
    "query": Work(
        headline="structure",
        metrics={
            "structure": _against_replies(structure_match, "queries with the right aggregate and operators"),
            "aggregate": _against_replies(aggregate_match, "queries with the right aggregate, or rightly none"),
            "operators": _against_replies(operators_match, "queries with the right operators in their conditions"),
            "exact_match": _against_replies(query_match, "queries that are right to the letter"),
        },
        trivial_statements=_always("SELECT NAME FROM TABLE WHERE NAME = 1 ;"),
    ),
}
"""By `consilium.members.persona.Training.metric`; ``style``, which needs a voice, is made by `style_work`."""
