"""Shell commands, looked at as text and never run: their utilities and their options."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from consilium.evaluation.texts import check_references, multiset_f1

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_PREFIXES = ("sudo", "env")
_OPTIONS_WITH_VALUE = {"sudo": ("-u", "-g", "-h", "-p", "-C", "-D", "-R", "-T"), "env": ("-u", "-C")}
_RUNS_ANOTHER = ("-exec", "-execdir", "-ok", "-okdir")


def first_utility(command: str) -> str:
    """Return the name of the first utility that a shell command would run, or an empty text.

    Lexical only: ``sudo``, ``env``, their options, assignments and opening brackets are passed over, but for what an
    assignment takes its value from; a path is reduced to its last part. Nothing is run or expanded.

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


def flags(command: str) -> list[str]:
    """Return the option flags of all utilities of a shell command, in their order, by their looks alone.

    ``--size=5`` is ``--size``; short flags are taken apart, ``-la`` into ``-l`` and ``-a``, up to the first character
    that is no letter, and so are the long ones that some utilities write with a single dash. Those of ``find`` stay
    whole (``-name``) up to an ``-exec``, whose command has flags of its own. A number is a value (``-mtime -1``),
    and ``-`` and ``--`` are no flags. Inside a quotation nothing is looked for.

    >>> flags("find . -name '*.c' -exec grep -lw --color=no main {} + | xargs du -sh")
    ['-name', '-exec', '-l', '-w', '--color', '-s', '-h']
    """
    found: list[str] = []
    in_find = lent = False
    for word in _words_before_the_open_quotation(command):
        if set(word) <= set("();|&+"):
            # The end of an -exec gives find its words back; other separators end it.
            in_find, lent = lent and word in (";", "+"), False
        elif word.startswith("-"):
            found += _flags(word, whole=in_find)
            if in_find and word in _RUNS_ANOTHER:
                in_find, lent = False, True
        elif PurePosixPath(word).name == "find":
            in_find = True
    return found


def flag_f1(statement: str, references: Sequence[str]) -> float:
    """Return the F1 of the statement's `flags` at the best reference, each flag as often as it is there.

    NL2Bash counts commands right up to their arguments (Lin et al. 2018, arXiv 1802.08979, template accuracy); this
    is the part of it that flags have, in shares. Where neither has a flag it is 1, save for a statement that is
    blank. It does not ask whose flags they are: read it beside `first_utility_match`.

    Raises:
        BadRows: there is no reference.

    >>> flag_f1("ls -al", ["ls -l -a -h"])
    0.8
    >>> flag_f1("", ["ls"])
    0.0
    """
    check_references(references)
    if not statement.strip():
        return 0.0
    said = Counter(flags(statement))
    return max(multiset_f1(said, Counter(flags(reference))) for reference in references)


def _flags(word: str, *, whole: bool) -> list[str]:
    if whole or word.startswith("--"):
        flag = re.match(r"--?[^\W\d_][\w-]*", word)
        return [flag[0]] if flag else []
    letters = re.match(r"-([^\W\d_]*)", word)
    return [f"-{letter}" for letter in letters[1]] if letters else []


def _words_before_the_open_quotation(command: str) -> Iterator[str]:
    try:
        yield from _words(command)
    except ValueError:
        return


def _words(command: str) -> Iterator[str]:
    """Yield the shell's words one by one, so that an open quotation further on does no harm."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    return lexer


def _substituted(word: str) -> str:
    """Return the command from which an assignment such as ``A="$(date +%F)"`` takes its value, or the word as it is."""
    rest = word
    while _ASSIGNMENT.match(rest) and (opening := re.search(r"\$\(|`", rest)):
        rest = rest[opening.end() :]
    return word if rest is word else (rest.split() or [""])[0]


def _first_utility(words: Iterator[str]) -> str:
    prefix = ""
    for word in map(_substituted, words):
        if prefix and word.startswith("-"):
            if word in _OPTIONS_WITH_VALUE[prefix]:
                next(words, "")
        elif (name := PurePosixPath(word).name) in _PREFIXES:
            prefix = name
        elif not (_ASSIGNMENT.match(word) or set(word) <= set("({!$")):
            return name
    return ""
