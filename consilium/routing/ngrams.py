"""Words, pairs of words and pieces of words, hashed into buckets: what the fine path reads."""

import math
import re
import zlib
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Buckets: TypeAlias = NDArray[np.int64]

BUCKETS = 2**18
"""Pieces that fall into the same one are not told apart."""
MAX_WORDS = 400
"""Words of a message that are read: as many from its beginning as from its end."""

_WORD = re.compile(r"\w+|[^\w\s]")
_SIZES = range(2, 6)
"""Letters of a piece of a word, its borders included."""
_START = 0xFFFFFFFF
"""What a checksum is before the first byte; its bits are turned round after the last."""
_OF_BYTE = np.array([zlib.crc32(bytes([byte]), _START) ^ _START for byte in range(256)], np.uint32)
"""By what a byte changes a checksum: the table of a byte-wise CRC-32."""


def words_of(text: str) -> list[str]:
    """Return the words and marks that are read, in lower case."""
    words = _WORD.findall(text.lower())
    return words if len(words) <= MAX_WORDS else words[: MAX_WORDS // 2] + words[-MAX_WORDS // 2 :]


def hashed(text: str) -> "tuple[Buckets, NDArray[np.float64]]":
    """Return the buckets of a text's pieces, in order, each with 1 + ln of how often it occurs: [pieces], [pieces].

    Pieces are its words, its pairs of neighbours, and the pieces of 2 to 5 letters within each word and its two spaces;
    a piece's bucket is the CRC-32 of its UTF-8, the same on every machine.

    >>> buckets, _ = hashed("Is it?")
    >>> {zlib.crc32(piece) % BUCKETS for piece in (b"is", b"is it", b" is", b"t ")} < set(buckets.tolist())
    True
    """
    words = words_of(text)
    if not words:
        return np.zeros(0, np.int64), np.zeros(0)
    buckets, times = np.unique(np.concatenate([_of_words(words), *_within_words(words)]), return_counts=True)
    weights = np.array([0.0, *(1 + math.log(count) for count in range(1, int(times.max()) + 1))])
    return buckets, weights[times]


def _of_words(words: list[str]) -> "Buckets":
    """Return the buckets of words and of pairs of neighbours."""
    encoded = [_encoded(word) for word in words]
    alone = [zlib.crc32(word) for word in encoded]
    pairs = [zlib.crc32(b" " + word, before) for before, word in zip(alone, encoded[1:], strict=False)]
    return np.array([*alone, *pairs], np.int64) % BUCKETS


def _within_words(words: list[str]) -> "list[Buckets]":
    """Return the buckets of the pieces within words, by size: those that begin at any letter, side by side."""
    letters = _bytes_of("".join(f" {word} " for word in words))
    sizes = [len(word) + 2 for word in words]
    until_end = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(letters))
    sums, found = np.full(len(letters), _START, np.uint32), []
    for size in range(1, _SIZES.stop):
        sums = _with_letters(sums[: len(letters) - size + 1], letters[size - 1 :])
        if size in _SIZES:
            found.append((~sums[until_end[: len(sums)] >= size]).astype(np.int64) % BUCKETS)
    return found


def _with_letters(sums: "NDArray[np.uint32]", letters: "NDArray[np.int16]") -> "NDArray[np.uint32]":
    """Return checksums, each with the bytes of one letter more."""
    for byte in letters.T:
        more = _OF_BYTE[(sums ^ byte.astype(np.uint32)) & 0xFF] ^ (sums >> 8)
        sums = np.where(byte >= 0, more, sums)
    return sums


def _bytes_of(text: str) -> "NDArray[np.int16]":
    """Return the bytes of each letter, -1 where it has no more: [letters, bytes of the longest]."""
    if text.isascii():  # as most are, and then no letter has to be looked at by itself
        return np.frombuffer(text.encode(), np.uint8)[:, None].astype(np.int16)
    return np.array(list(zip_longest(*map(_encoded, text), fillvalue=-1)), np.int16).T


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
