"""Labels: right or wrong, and right for each label alike."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from consilium.errors import BadRows, MissingExtra
from consilium.evaluation.label import label_match, macro_f1

LABELS = ("boat", "buoy", "tide")
labels = st.sampled_from(LABELS)


@pytest.mark.parametrize(
    ("statement", "score"), [("Boat", 1), (" buoy\n", 1), ("tide", 0), ("boat.", 0), ("a boat", 0), ("", 0)]
)
def test_only_case_and_outer_white_space_are_forgiven(statement: str, score: float) -> None:
    assert label_match(statement, ["boat", "BUOY"]) == score


class TestMacroF1:
    def test_a_rare_label_counts_as_much_as_a_common_one(self) -> None:
        references = [["boat"]] * 9 + [["buoy"]]
        always, never = ["boat"] * 10, ["boat"] * 8 + ["buoy"] * 2
        assert macro_f1(always, references) == pytest.approx((18 / 19 + 0) / 2)
        assert macro_f1(never, references) == pytest.approx((16 / 17 + 2 / 3) / 2)

    def test_what_is_no_label_is_wrong_for_the_label_that_was_due_alone(self) -> None:
        references = [["boat"], ["boat"], ["buoy"]]
        assert macro_f1(["boat", "I cannot say", "buoy"], references) == pytest.approx((2 / 3 + 1) / 2)
        assert macro_f1(["", "", ""], references) == 0.0

    def test_a_label_that_is_never_due_has_no_part_in_the_mean(self) -> None:
        assert macro_f1(["boat", "tide"], [["boat"], ["buoy"]]) == 0.5

    def test_of_several_accepted_labels_the_one_that_was_said_is_due(self) -> None:
        assert macro_f1(["buoy", "boat"], [["boat", "Buoy"], ["boat"]]) == 1.0
        assert macro_f1(["tide", "boat"], [["boat", "buoy"], ["boat"]]) == pytest.approx(2 / 3)

    @given(pairs=st.lists(st.tuples(labels, labels), min_size=1, max_size=20))
    def test_it_is_scikit_learn_s_figure_over_the_labels_that_are_due(self, pairs: list[tuple[str, str]]) -> None:
        said, due = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        expected = f1_score(due, said, labels=sorted(set(due)), average="macro", zero_division=0.0)
        assert macro_f1([f" {label.upper()}" for label in said], [[label] for label in due]) == pytest.approx(expected)

    @given(due=st.lists(labels, min_size=1, max_size=20))
    def test_it_is_whole_for_the_references_themselves(self, due: list[str]) -> None:
        assert macro_f1(due, [[label] for label in due]) == 1.0

    @pytest.mark.parametrize(
        ("statements", "references"), [([], []), (["boat"], []), (["boat"], [["boat"], ["buoy"]]), (["boat"], [[]])]
    )
    def test_a_corpus_that_does_not_fit_together_is_refused(
        self, statements: list[str], references: list[list[str]]
    ) -> None:
        with pytest.raises(BadRows):
            macro_f1(statements, references)

    def test_without_scikit_learn_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
        with pytest.raises(MissingExtra, match=r"pip install 'consilium\[eval\]'"):
            macro_f1(["boat"], [["boat"]])
