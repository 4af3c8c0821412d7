"""The fine path: pieces vote, the votes survive their bytes and their file, and a word's pull can be told."""

import math
import zlib
from collections import Counter
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from consilium.routing.fine import FinePath
from consilium.routing.ngrams import BUCKETS, MAX_WORDS, hashed, words_of

BOATS = ("skiff", "cutter", "ketch", "sloop", "barge", "tug", "dinghy", "ferry")
MESSAGES = [
    *(f"Steer the {boat} north past the red buoy." for boat in BOATS),
    *(f"Whose turn is it to scrub the deck of the {boat}?" for boat in BOATS),
    *(f"Enter the unpaid fee of the {boat} in the book." for boat in BOATS),
]
LABELS = [0] * 8 + [1] * 8 + [3] * 8


def bucket(piece: str) -> int:
    return zlib.crc32(piece.encode()) % BUCKETS


@pytest.fixture(scope="module")
def path() -> FinePath:
    return FinePath.fit(MESSAGES, LABELS, 4)


def test_unseen_messages_find_their_member(path: FinePath) -> None:
    logits = path.logits(["STEERING north, by the buoys", "scrubing the decks", "who entered an unpaid fee"])
    assert logits.argmax(-1).tolist() == [0, 1, 3]


def test_a_member_without_requests_is_never_voted_for(path: FinePath) -> None:
    assert float(path.logits([*MESSAGES, "", "?"])[:, 2].max()) <= -10.0


@pytest.mark.parametrize("message", ["", " ", "?", "\udcff", "船", "a" * 50_000, "word " * 50_000])
def test_any_message_has_finite_votes(path: FinePath, message: str) -> None:
    assert torch.isfinite(path.logits([message])).all()


def test_a_word_that_tells_pulls_most(path: FinePath) -> None:
    pulls = dict(path.pulls("Past the red buoy in a yacht", 0))
    assert max(pulls, key=lambda word: pulls[word]) in ("buoy", "red", "past")
    assert pulls["buoy"] > pulls["yacht"]


def test_the_same_rows_make_the_same_path_and_its_file_keeps_it(path: FinePath) -> None:
    again, kept = FinePath.fit(MESSAGES, LABELS, 4), FinePath.from_tensors(path.tensors())
    for other in (again, kept):
        assert torch.equal(other.logits(MESSAGES), path.logits(MESSAGES))
    assert path.tensors()["fine.votes"].dtype is torch.int8


def test_pieces_are_words_pairs_and_parts_of_words() -> None:
    buckets, times = hashed("The båt 船, the buoy")
    words = ["the", "båt", "船", ",", "the", "buoy"]
    pairs = [" ".join(pair) for pair in pairwise(words)]
    bounds = [f" {word} " for word in words]
    parts = [word[at : at + size] for word in bounds for size in range(2, 6) for at in range(len(word) - size + 1)]
    counts = Counter(map(bucket, [*words, *pairs, *parts]))
    assert dict(zip(buckets.tolist(), times.tolist(), strict=True)) == pytest.approx(
        {number: 1 + math.log(count) for number, count in counts.items()}
    )


@given(st.text(max_size=300))
def test_any_text_has_buckets_in_order_each_once(text: str) -> None:
    buckets, times = hashed(text)
    assert buckets.tolist() == sorted(set(buckets.tolist()))
    assert len(times) == len(buckets)
    assert all(0 <= number < BUCKETS for number in buckets.tolist())


def test_long_messages_are_read_from_both_ends() -> None:
    words = words_of(" ".join(f"w{number}" for number in range(10_000)))
    assert (len(words), words[0], words[-1]) == (MAX_WORDS, "w0", "w9999")


def test_buckets_are_the_same_on_every_machine() -> None:
    assert bucket("buoy") == 128_223
    buckets, times = hashed("a a a")
    assert times[buckets == bucket("a a")].tolist() == pytest.approx([1.6931], abs=1e-4)


def test_two_members_are_told_apart_too() -> None:
    path = FinePath.fit(MESSAGES[:16], LABELS[:16], 2)
    logits = path.logits(["STEERING north, by the buoys", "scrubbing the decks"])
    assert logits.argmax(-1).tolist() == [0, 1]
    assert bool((logits.amax(-1) > logits.amin(-1) + 1).all())
