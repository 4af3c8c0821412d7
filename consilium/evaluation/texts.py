"""Texts against the texts that are accepted in their place: exact match, chrF, and the F1 of what they hold."""

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeVar

from consilium.errors import BadRows, MissingExtra

if TYPE_CHECKING:
    from sacrebleu.metrics.chrf import CHRF

Thing = TypeVar("Thing")


def chrf(statement: str, references: Sequence[str]) -> float:
    """Return the character n-gram F-score of one statement against its nearest reference.

    Character 1- to 6-grams without spaces, beta 2 (Popović 2015, "chrF: character n-gram F-score for automatic MT
    evaluation", eq. 1), by sacrebleu (Post 2018), whose figure in percent is divided by 100.

    Returns:
        A share from 0 to 1. Copying the input scores well above 0 in most tasks: print that score beside it.

    Raises:
        BadRows: there is no reference.
        MissingExtra: sacrebleu is not installed.

    >>> chrf("the boat is in", ["the boat is in", "it came in"])
    1.0
    >>> 0.2 < chrf("the boat is in", ["a boat was in"]) < 0.4
    True
    >>> chrf("", ["a boat"])
    0.0
    """
    check_references(references)
    return float(_chrf().sentence_score(statement, list(references)).score) / 100


def corpus_chrf(statements: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return chrF over a corpus: n-gram counts are summed over its statements before the F-score is taken.

    Args:
        statements: one for each row.
        references: the accepted texts of each row, at least one.

    Returns:
        A share from 0 to 1, as `chrf`, of which it is not the mean: long statements count for more.

    Raises:
        BadRows: there is no statement, the two differ in length, or a row has no reference.
        MissingExtra: sacrebleu is not installed.

    >>> corpus_chrf(["two boats", "one"], [["two boats"], ["three", "one"]])
    1.0
    """
    check_corpus(statements, references)
    streams = [list(stream) for stream in zip_longest(*references)]
    return float(_chrf().corpus_score(list(statements), streams).score) / 100


def exact_match(statement: str, references: Sequence[str]) -> float:
    """Return 1 where the statement is one of the references, runs of white space counted as one space; else 0.

    SQuAD's measure (Rajpurkar et al. 2016, section 6.1) without its removal of case, articles and punctuation.

    Raises:
        BadRows: there is no reference.

    >>> exact_match(" two  boats ", ["a boat", "two boats"])
    1.0
    >>> exact_match("Two boats", ["two boats"])
    0.0
    """
    check_references(references)
    return float(spaced(statement) in map(spaced, references))


def multiset_f1(said: Counter[Thing], due: Counter[Thing]) -> float:
    """Return the F1, from 0 to 1, of what was said against what was due; each may hold a thing several times.

    Twice what is common over the sum of both, the harmonic mean of precision and recall (van Rijsbergen 1979,
    "Information Retrieval", chapter 7); 1 where both are empty.

    >>> multiset_f1(Counter("aab"), Counter("ab"))
    0.8
    """
    total = said.total() + due.total()
    return 2 * (said & due).total() / total if total else 1.0


def spaced(text: str) -> str:
    r"""Return the text with each run of white space as one space, and none at its ends.

    >>> spaced(" two \n boats")
    'two boats'
    """
    return " ".join(text.split())


def check_references(references: Sequence[str]) -> None:
    """Raise `BadRows` unless there is a list of at least one text to score against.

    >>> check_references("a text")
    Traceback (most recent call last):
    consilium.errors.BadRows: references='a text': a statement is scored against a list of at least one text.
    """
    if isinstance(references, str) or not references:
        raise BadRows(f"references={references!r}: a statement is scored against a list of at least one text.")


def check_corpus(statements: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Raise `BadRows` unless there are statements, and references for each.

    >>> check_corpus(["a boat"], [])
    Traceback (most recent call last):
    consilium.errors.BadRows: 1 statements, 0 rows of references. Give one of each a row.
    """
    if not statements or len(statements) != len(references):
        raise BadRows(f"{len(statements)} statements, {len(references)} rows of references. Give one of each a row.")
    for row in references:
        check_references(row)


def _chrf() -> "CHRF":
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as error:
        raise MissingExtra("chrF needs sacrebleu: pip install 'consilium[eval]'") from error
    return CHRF()
