"""Copies of an input, and of what was learned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.evaluation.copying import copy_rate, grams, is_copy


class TestCopyRate:
    def test_known_values(self) -> None:
        source = "At nine the pilot steered north."
        assert copy_rate("at NINE the pilot, steered north", [source]) == 1.0
        assert copy_rate("at nine the pilot steered south", [source]) == pytest.approx(2 / 3)
        assert copy_rate("at nine the mate steered north", [source]) == 0.0

    def test_an_n_gram_does_not_run_over_the_border_of_two_sources(self) -> None:
        assert copy_rate("one two three four", ["one two", "three four"]) == 0.0

    def test_its_length_can_be_chosen(self) -> None:
        assert copy_rate("one two five", ["one two three"], words=2) == 0.5
        assert copy_rate("", ["one"], words=1) == 0.0

    def test_what_was_cut_up_before_is_the_same(self) -> None:
        sources = ["At nine the pilot steered north.", "The mate slept."]
        for statement in ("at nine the pilot steered south", "the mate slept at nine"):
            assert copy_rate(statement, grams(sources)) == copy_rate(statement, sources)

    @given(statement=st.text(max_size=60), words=st.integers(1, 5))
    def test_it_is_a_share_and_whole_for_a_copy(self, statement: str, words: int) -> None:
        assert 0 <= copy_rate(statement, ["the boat lay at the quay"], words=words) <= 1
        assert copy_rate(statement, [statement], words=words) in (0, 1)


class TestIsCopy:
    @pytest.mark.parametrize(
        ("statement", "copied"),
        [
            ("Where is the boat?", 1),
            (" where  is\nthe BOAT", 1),
            ("Where is the boats?", 0),
            ("Where the is boat?", 0),
            ("Where is the boat? There.", 0),
            ("", 0),
        ],
    )
    def test_only_words_and_their_order_count(self, statement: str, copied: float) -> None:
        assert is_copy(statement, "Where is the boat?") == copied

    @given(text=st.text(max_size=40))
    def test_every_text_is_a_copy_of_itself(self, text: str) -> None:
        assert is_copy(text, text) == 1.0
        assert is_copy(f"{text} anew", text) == 0.0
