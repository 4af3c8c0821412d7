"""Shell commands, looked at as text and never run: their utilities and their options."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from consilium.evaluation.texts import check_references

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_PREFIXES = ("sudo", "env")
_OPTIONS_WITH_VALUE = {"sudo": ("-u", "-g", "-h", "-p", "-C", "-D", "-R", "-T"), "env": ("-u", "-C")}


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
    check_references(references)
    utility = first_utility(statement)
    return float(utility != "" and utility in map(first_utility, references))


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
