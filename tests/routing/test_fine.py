"""The fine path: pieces vote, the votes survive their bytes and their file, and a word's pull can be told."""

import pytest
import torch

from consilium.routing.fine import FinePath
from consilium.routing.ngrams import MAX_WORDS, bucket, hashed, ngrams, words_of

BOATS = ("skiff", "cutter", "ketch", "sloop", "barge", "tug", "dinghy", "ferry")
MESSAGES = [
    *(f"Steer the {boat} north past the red buoy." for boat in BOATS),
    *(f"Whose turn is it to scrub the deck of the {boat}?" for boat in BOATS),
    *(f"Enter the unpaid fee of the {boat} in the book." for boat in BOATS),
]
LABELS = [0] * 8 + [1] * 8 + [3] * 8


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
    assert {"the", "the buoy", " buo", "oy "} <= set(ngrams("The buoy"))
    assert max(map(len, ngrams("buoy"))) == 5


def test_long_messages_are_read_from_both_ends() -> None:
    words = words_of(" ".join(f"w{number}" for number in range(10_000)))
    assert (len(words), words[0], words[-1]) == (MAX_WORDS, "w0", "w9999")


def test_buckets_are_the_same_on_every_machine() -> None:
    assert bucket("buoy") == 128_223
    assert hashed("a a a")[bucket("a a")] == pytest.approx(1.6931, abs=1e-4)


def test_two_members_are_told_apart_too() -> None:
    path = FinePath.fit(MESSAGES[:16], LABELS[:16], 2)
    logits = path.logits(["STEERING north, by the buoys", "scrubbing the decks"])
    assert logits.argmax(-1).tolist() == [0, 1]
    assert bool((logits.amax(-1) > logits.amin(-1) + 1).all())
