"""Splits: where a sentence ends."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.evaluation.split import sentences, two_sentences, words_kept


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("The boat came in . It left at noon .", 2),
        ("The boat came in. It left at noon.", 2),
        ("Did it come in ? It did !", 2),
        ("It came in ... It left .", 2),
        ("The boat came in , and it left at noon .", 1),
        ("She came to St . Ives with Capt. Penrose .", 1),
        ("The pilot , J . B . Trewin , was ill . So was Mr. A.B. Rowe .", 2),
        ("Fees rose by 2.5 per cent . Then they fell .", 2),
        ("It belongs to the U.S. Navy .", 1),
        ("It went to the U.S.", 1),
        ("They sold ropes , oars , etc . in the shop .", 1),
        ("The board read 7 p.m. in red .", 1),
        ("' Cast off . ' He cast off .", 2),
        ('"Cast off." "Aye."', 2),
        ("He cast off ( at last . ) Then he slept .", 2),
        ("The book 'Tides . ' sold well .", 1),
        ("It sank . 40 men were lost .", 2),
        ("Hon kom in . Åsa gick ut .", 2),
        ("Hon kom in . åter kom ingen .", 1),
        ("It came in . It left . It came again .", 3),
        ("It came in . It left at", 2),
        ("It came in", 1),
        (". . .", 0),
        ("It left . . .", 1),
        ("It left ! ? It did .", 2),
        ("", 0),
        ("  ", 0),
    ],
)
def test_sentences_end_at_a_stop_before_a_new_start(text: str, count: int) -> None:
    assert sentences(text) == count


@pytest.mark.parametrize(
    ("statement", "score"),
    [
        ("It came in . It left .", 1),
        ('It came in . " It left . "', 1),
        ("It came in and left .", 0),
        ("It came in . It left . It came again .", 0),
        ("It came in . It left at", 0),
        ("", 0),
    ],
)
def test_two_finished_sentences_are_asked_for(statement: str, score: float) -> None:
    assert two_sentences(statement) == score


@pytest.mark.parametrize(
    ("statement", "share"),
    [
        ("The boat came in , and it left .", 1),
        ("the BOAT came in . And so it left : it is gone .", 1),
        ("The boat came in . It left .", 6 / 7),
        ("The the the the .", 1 / 7),
        ("", 0),
    ],
)
def test_the_words_of_the_source_are_counted_each_as_often_as_it_stands_there(statement: str, share: float) -> None:
    assert words_kept(statement, "The boat came in , and it left .") == pytest.approx(share)


@given(words=st.lists(st.text("abcåö", min_size=2, max_size=6), min_size=1, max_size=6), count=st.integers(1, 5))
def test_finished_sentences_add_up(words: list[str], count: int) -> None:
    sentence = f"There lay {' '.join(words)} ahoy ."
    assert sentences(" ".join([sentence] * count)) == count
    assert two_sentences(" ".join([sentence] * count)) == (count == 2)


@given(text=st.text(max_size=60))
def test_whatever_was_said_has_a_count(text: str) -> None:
    assert 0 <= sentences(text) <= len(text)
    assert two_sentences(text) in (0.0, 1.0)


@pytest.mark.parametrize("part", [".", "x", '."', ". ", "x. Y "])
def test_a_long_statement_takes_no_longer_than_it_should(part: str) -> None:
    started = time.perf_counter()
    two_sentences(part * 20_000)
    assert time.perf_counter() - started < 5
