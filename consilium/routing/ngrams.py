"""Words, pairs of words and pieces of words, hashed into buckets: what the fine path reads."""

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator

BUCKETS = 2**18
"""Pieces that fall into the same one are not told apart."""
MAX_WORDS = 400
"""Words of a message that are read: as many from its beginning as from its end."""

_WORD = re.compile(r"\w+|[^\w\s]")
_SIZES = range(2, 6)
"""Letters of a piece of a word, its borders included."""


def ngrams(text: str) -> Iterator[str]:
    """Yield the words of a text, its pairs of neighbours, and the pieces of 2 to 5 letters within each word.

    >>> list(ngrams("Is it?"))[:8]
    ['is', 'is it', ' i', 'is', 's ', ' is', 'is ', ' is ']
    """
    words = words_of(text)
    for number, word in enumerate(words):
        yield word
        if number + 1 < len(words):
            yield f"{word} {words[number + 1]}"
        padded = f" {word} "
        for size in _SIZES:
            for start in range(len(padded) - size + 1):
                yield padded[start : start + size]


def words_of(text: str) -> list[str]:
    """Return the words and marks that are read, in lower case."""
    words = _WORD.findall(text.lower())
    return words if len(words) <= MAX_WORDS else words[: MAX_WORDS // 2] + words[-MAX_WORDS // 2 :]


def bucket(piece: str) -> int:
    """Return the bucket of a piece, the same on every machine."""
    return zlib.crc32(piece.encode("utf-8", "surrogatepass")) % BUCKETS


def hashed(text: str) -> dict[int, float]:
    """Return the buckets of a text's pieces, each with 1 + ln of how often it occurs."""
    counts = Counter(bucket(piece) for piece in ngrams(text))
    return {number: 1 + math.log(count) for number, count in counts.items()}
