"""Metrics: how near a statement comes to the references that are accepted for it.

Each metric is a pure function and returns a share from 0 (nothing right) to 1 (all right); the mean over a corpus is
the caller's, save for chrF, whose counts are summed over the corpus first. A shell command is looked at, never run.
"""

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from consilium.errors import BadRows, MissingExtra

if TYPE_CHECKING:
    from sacrebleu.metrics.chrf import CHRF

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_PREFIXES = ("sudo", "env")
_OPTIONS_WITH_VALUE = {"sudo": ("-u", "-g", "-h", "-p", "-C", "-D", "-R", "-T"), "env": ("-u", "-C")}


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
    _check_references(references)
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
    if not statements or len(statements) != len(references):
        raise BadRows(f"{len(statements)} statements, {len(references)} rows of references. Give one of each a row.")
    for row in references:
        _check_references(row)
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
    _check_references(references)
    return float(_spaced(statement) in map(_spaced, references))


def first_utility(command: str) -> str:
    """Return the name of the first utility that a shell command would run, or an empty text.

    Lexical only: ``sudo``, ``env``, their options, assignments and opening brackets are passed over, and a path is
    reduced to its last part. Nothing is run or expanded.

    >>> first_utility("sudo -u www LANG=C /usr/bin/find . -name 'a b'")
    'find'
    >>> first_utility("(cd /srv && ls) | wc -l")
    'cd'
    >>> first_utility("'never closed")
    ''
    """
    try:
        return _first_utility(_words(command))
    except ValueError:  # a quotation that is not closed
        return ""


def first_utility_match(statement: str, references: Sequence[str]) -> float:
    """Return 1 where the statement's `first_utility` is that of a reference, else 0.

    The utility part of NL2Bash's template accuracy (Lin et al. 2018, arXiv 1802.08979), for the first utility alone.

    Raises:
        BadRows: there is no reference.

    >>> first_utility_match("find / -size +1G", ["sudo find / -type f"])
    1.0
    >>> first_utility_match("", [""])
    0.0
    """
    _check_references(references)
    utility = first_utility(statement)
    return float(utility != "" and utility in map(first_utility, references))


def frame_match(statement: str, references: Sequence[str]) -> float:
    """Return 1 where the statement is a frame equal to a reference: the intent and every slot; else 0.

    A frame is a JSON object ``{"intent": .., slot: value, ..}``; the order of its keys and runs of white space in its
    values do not matter. Text around the object does: it is then no JSON and scores 0. Called sentence accuracy or
    semantic frame accuracy elsewhere (Goo et al. 2018, "Slot-Gated Modeling").

    Raises:
        BadRows: there is no reference, or one of them is no frame.

    >>> frame_match('{"berth": "4", "intent": "Moor"}', ['{"intent": "Moor", "berth": "4"}'])
    1.0
    >>> frame_match('Sure: {"intent": "Moor"}', ['{"intent": "Moor"}'])
    0.0
    """
    return float(_frame(statement) in _reference_frames(references))


def slot_f1(statement: str, references: Sequence[str]) -> float:
    """Return the F1 of the statement's slots, that is (slot, value) pairs without the intent, at the best reference.

    As in the CoNLL-2000 evaluation (Tjong Kim Sang and Buchholz 2000) a slot counts where name and value both agree.
    Where both frames hold no slot it is 1; a statement that is no frame scores 0.

    Raises:
        BadRows: there is no reference, or one of them is no frame.

    >>> slot_f1('{"intent": "Moor", "berth": "4"}', ['{"intent": "Moor", "berth": "4", "hour": "nine"}'])
    0.6666666666666666
    >>> slot_f1('{"intent": "Moor", "berth"', ['{"intent": "Moor", "berth": "4"}'])
    0.0
    """
    frames = _reference_frames(references)
    said = _frame(statement)
    return 0.0 if said is None else max(_f1(_slots(said), _slots(frame)) for frame in frames)


def copy_rate(statement: str, sources: Sequence[str], *, words: int = 4) -> float:
    """Return the share of the statement's n-grams of words that also stand in one of the sources.

    Case and punctuation are passed over. Against the training text this measures recitation, against the input
    copying; the complement of n-gram novelty (McCoy et al. 2023, arXiv 2111.09509).

    Args:
        statement: what a seat said.
        sources: texts that may have been copied.
        words: length of an n-gram, in words.

    Returns:
        A share from 0 to 1; 0 where the statement is shorter than one n-gram.

    >>> copy_rate("The boats came in at dawn.", ["the boats came in late"])
    0.3333333333333333
    >>> copy_rate("three boats", ["three boats"])
    0.0
    """
    known = {gram for source in sources for gram in _grams(source, words)}
    grams = list(_grams(statement, words))
    return sum(gram in known for gram in grams) / len(grams) if grams else 0.0


def _check_references(references: Sequence[str]) -> None:
    if isinstance(references, str) or not references:
        raise BadRows(f"references={references!r}: a statement is scored against a list of at least one text.")


def _chrf() -> "CHRF":
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as error:
        raise MissingExtra("chrF needs sacrebleu: pip install 'consilium[eval]'") from error
    return CHRF()


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _words(command: str) -> Iterator[str]:
    """Yield the shell's words one by one, so that an open quotation further on does no harm."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    return lexer


def _first_utility(words: Iterator[str]) -> str:
    prefix = ""
    for word in words:
        if prefix and word.startswith("-"):
            if word in _OPTIONS_WITH_VALUE[prefix]:
                next(words, "")
        elif (name := PurePosixPath(word).name) in _PREFIXES:
            prefix = name
        elif not (_ASSIGNMENT.match(word) or set(word) <= set("({!$")):
            return name
    return ""


def _frame(text: str) -> dict[str, str] | None:
    """Return the frame that ``text`` is, its values as text with single spaces, or None."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(frame, dict) or "intent" not in frame:
        return None
    return {slot: _spaced(value if isinstance(value, str) else json.dumps(value)) for slot, value in frame.items()}


def _reference_frames(references: Sequence[str]) -> list[dict[str, str]]:
    _check_references(references)
    frames = []
    for reference in references:
        if (frame := _frame(reference)) is None:
            raise BadRows(f"reference {reference!r:.80} is no frame: a JSON object with an intent. Correct the row.")
        frames.append(frame)
    return frames


def _slots(frame: Mapping[str, str]) -> Counter[tuple[str, str]]:
    return Counter((slot, value) for slot, value in frame.items() if slot != "intent")


def _f1(said: Counter[tuple[str, str]], due: Counter[tuple[str, str]]) -> float:
    total = said.total() + due.total()
    return 2 * (said & due).total() / total if total else 1.0


def _grams(text: str, length: int) -> Iterator[tuple[str, ...]]:
    found = re.findall(r"\w+", text.lower())
    return zip(*(found[start:] for start in range(length)), strict=False)
