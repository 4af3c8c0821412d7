"""Copies: how much of a statement was there before it, in its input or in what its member learned."""

import re
from collections.abc import Iterable, Iterator, Sequence, Set

Gram = tuple[str, ...]
"""Some words of a text, one after the other."""


def copy_rate(statement: str, sources: Sequence[str] | Set[Gram], *, words: int = 4) -> float:
    """Return the share of the statement's n-grams of words that also stand in one of the sources.

    Case and punctuation are passed over. Against the training text this measures recitation, against the input
    copying; the complement of n-gram novelty (McCoy et al. 2023, arXiv 2111.09509).

    Args:
        statement: what a seat said.
        sources: texts that may have been copied, or their `grams` where many statements are looked up in them.
        words: length of an n-gram, in words.

    Returns:
        A share from 0 to 1; 0 where the statement is shorter than one n-gram.

    >>> copy_rate("The boats came in at dawn.", ["the boats came in late"])
    0.3333333333333333
    >>> copy_rate("three boats", ["three boats"])
    0.0
    """
    known = sources if isinstance(sources, Set) else grams(sources, words=words)
    said = list(_grams(statement, words))
    return sum(gram in known for gram in said) / len(said) if said else 0.0


def grams(sources: Iterable[str], *, words: int = 4) -> Set[Gram]:
    """Return the n-grams of words that stand in texts."""
    return {gram for source in sources for gram in _grams(source, words)}


def is_copy(statement: str, source: str) -> float:
    """Return 1 where the statement has the words of its source and no others, in their order; else 0.

    Case, punctuation and white space are passed over. A member that should translate and says its input again does
    what Khayrallah and Koehn 2018 (arXiv 1805.12282) call copying instead of translating.

    >>> is_copy("the boat  is in", "The boat is in!")
    1.0
    >>> is_copy("båten är inne", "The boat is in!")
    0.0
    """
    return float(_words(statement) == _words(source))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _grams(text: str, length: int) -> Iterator[Gram]:
    found = _words(text)
    return zip(*(found[start:] for start in range(length)), strict=False)
