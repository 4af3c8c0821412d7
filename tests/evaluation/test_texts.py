"""Texts against references: known values, bounds, and rows that cannot be scored on."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF

from consilium.errors import BadRows, MissingExtra
from consilium.evaluation.command import first_utility_match
from consilium.evaluation.frame import frame_match, slot_f1
from consilium.evaluation.texts import chrf, corpus_chrf, exact_match, multiset_f1

Metric = Callable[[str, Sequence[str]], float]


@pytest.mark.parametrize("metric", [chrf, exact_match, first_utility_match, frame_match, slot_f1])
@pytest.mark.parametrize("references", [[], (), "a text in the place of a list"])
def test_a_row_without_a_list_of_references_is_refused(metric: Metric, references: Sequence[str]) -> None:
    with pytest.raises(BadRows, match="references="):
        metric("a statement", references)


class TestChrf:
    def test_it_is_sacrebleu_s_figure_as_a_share(self) -> None:
        references = ["the boat lay at the quay", "a boat was at the quay"]
        expected = CHRF().sentence_score("the boat was at a quay", references).score / 100
        assert 0 < expected < 1
        assert chrf("the boat was at a quay", references) == expected

    def test_without_sacrebleu_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "sacrebleu.metrics.chrf", None)
        with pytest.raises(MissingExtra, match=r"pip install 'consilium\[eval\]'"):
            chrf("a", ["b"])

    def test_the_nearest_reference_counts(self) -> None:
        near, far = "the boat lay at the quay", "fees are due at noon"
        assert chrf("a boat lay at the quay", [far, near]) == chrf("a boat lay at the quay", [near])

    def test_rows_of_a_corpus_may_differ_in_their_number_of_references(self) -> None:
        statements = ["the boat lay there", "fees at noon"]
        both = corpus_chrf(statements, [["a boat lay here"], ["quite another thing", "fees are due at noon"]])
        nearest = corpus_chrf(statements, [["a boat lay here"], ["fees are due at noon"]])
        assert both == pytest.approx(nearest)
        assert 0 < both < 1

    def test_a_corpus_is_not_the_mean_of_its_rows(self) -> None:
        statements, references = ["x", "the boat lay at the quay"], [["y"], ["the boat lay at the quay"]]
        assert corpus_chrf(statements, references) > 0.9

    @pytest.mark.parametrize(
        ("statements", "references"), [([], []), (["a"], []), (["a"], [["a"], ["b"]]), (["a"], [[]])]
    )
    def test_a_corpus_that_does_not_fit_together_is_refused(
        self, statements: list[str], references: list[list[str]]
    ) -> None:
        with pytest.raises(BadRows):
            corpus_chrf(statements, references)


class TestExactMatch:
    @pytest.mark.parametrize(
        ("statement", "score"), [("two\n boats ", 1), ("one boat", 1), ("two boats.", 0), ("", 0), ("twoboats", 0)]
    )
    def test_only_white_space_is_forgiven(self, statement: str, score: float) -> None:
        assert exact_match(statement, ["one boat", "two boats"]) == score


class TestMultisetF1:
    @pytest.mark.parametrize(
        ("said", "due", "f1"),
        [("ab", "ab", 1), ("", "", 1), ("a", "", 0), ("", "a", 0), ("aa", "a", 2 / 3), ("ab", "bc", 1 / 2)],
    )
    def test_known_values(self, said: str, due: str, f1: float) -> None:
        assert multiset_f1(Counter(said), Counter(due)) == pytest.approx(f1)

    @given(said=st.text("abc", max_size=8), due=st.text("abc", max_size=8))
    def test_it_is_a_share_and_symmetric(self, said: str, due: str) -> None:
        f1 = multiset_f1(Counter(said), Counter(due))
        assert 0 <= f1 <= 1
        assert f1 == multiset_f1(Counter(due), Counter(said))
        assert (f1 == 1) == (sorted(said) == sorted(due))
