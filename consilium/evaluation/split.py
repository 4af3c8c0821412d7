"""Splits: how many sentences a statement is, by a rule on its characters."""

import re
from collections import Counter

_ABBREVIATIONS = frozenset(
    [
        "adm",
        "al",
        "approx",
        "bros",
        "c",
        "ca",
        "capt",
        "cf",
        "co",
        "col",
        "corp",
        "dr",
        "ed",
        "est",
        "etc",
        "feat",
        "fig",
        "fr",
        "ft",
        "gen",
        "gov",
        "hon",
        "inc",
        "jr",
        "lt",
        "ltd",
        "maj",
        "messrs",
        "mr",
        "mrs",
        "ms",
        "mt",
        "mts",
        "no",
        "nos",
        "op",
        "pp",
        "prof",
        "pt",
        "rep",
        "rev",
        "sen",
        "sgt",
        "sr",
        "st",
        "ste",
        "vol",
        "vols",
        "vs",
    ]
)
_WORD = re.compile(r"\w+")
_OPENING = "\"'([\u201c\u2018\u00ab`"
_CLOSING = "\"')\\]\u201d\u2019\u00bb"
_AFTER = re.compile(rf"(?:\s?[{_CLOSING}])*(?:\s+(?=\S)|\s*\Z)")
_NEAR = 20
"""Characters before a full stop in which its word is looked for."""


def sentences(text: str) -> int:
    """Return the number of sentences; words after the last full stop are one that was not finished.

    A sentence ends at ``.``, ``?`` or ``!``, set apart by a space (tokenised text) or not, and closing quotation marks
    and brackets after it, where the text ends too, or a space and a new start follow: a capital, a digit, or an opening
    mark. After an initial ("J ."), letters with stops between them ("U.S."), or a common abbreviation ("St .") a full
    stop ends a sentence only with the text. A rule for edited prose; one that must be right needs a model (Kiss and
    Strunk 2006, "Unsupervised Multilingual Sentence Boundary Detection").

    >>> sentences("The boat came to St . Ives . It left at noon .")
    2
    >>> sentences("The boat came in and")
    1
    """
    found, done = 0, 0
    for mark in re.finditer(r"[.?!]+", text):
        after = _AFTER.match(text, mark.end())
        if after and (after.end() == len(text) or (_starts(text, after.end()) and not _abbreviated(text, mark))):
            found, done = found + _has_word(text[done : mark.start()]), after.end()
    return found + _has_word(text[done:])


def two_sentences(statement: str) -> float:
    """Return 1 where the statement is exactly two finished `sentences`, else 0.

    What WikiSplit asks for (Botha et al. 2018, arXiv 1808.09468, section 2): one sentence rewritten as two.

    >>> two_sentences("The boat came in . It left at noon .")
    1.0
    >>> two_sentences("The boat came in . It left at")
    0.0
    """
    return float(sentences(statement) == 2 and re.search(r"[.?!]\W*$", statement) is not None)


def words_kept(statement: str, source: str) -> float:
    """Return the share, from 0 to 1, of the source's words that the statement holds too, each as often, in any case.

    The recall of ROUGE-1 (Lin 2004, aclanthology.org/W04-1013) without stemming: what is split should not be shortened.

    >>> words_kept("The boat came in . It left .", "The boat came in and left at noon .")
    0.625
    >>> words_kept("", "")
    1.0
    """
    wanted, found = (Counter(_WORD.findall(text.lower())) for text in (source, statement))
    return (wanted & found).total() / wanted.total() if wanted else 1.0


def _has_word(text: str) -> bool:
    return re.search(r"\w", text) is not None


def _starts(text: str, place: int) -> bool:
    first = text[place : place + _NEAR].lstrip(_OPENING + " ")[:1]
    return first.isupper() or first.isdigit() or text[place] in _OPENING


def _abbreviated(text: str, mark: re.Match[str]) -> bool:
    before = text[max(0, mark.start() - _NEAR) : mark.start()].split()
    word = before[-1].strip(_OPENING + ")]").lower() if before else ""
    return mark[0] == "." and (word in _ABBREVIATIONS or re.fullmatch(r"[^\W\d_](\.[^\W\d_])*", word) is not None)
