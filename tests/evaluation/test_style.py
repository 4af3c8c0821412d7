"""The style classifier, on invented voices, and on the period voices where they are at hand."""

import json
import random
import sys
from pathlib import Path

import pytest

from consilium.errors import BadRows, MissingExtra
from consilium.evaluation.style import MIN_CHARS, StyleClassifier, read_style_texts
from consilium.settings import data_folder

# In a checkout ../shared lies beside the project.
VOICES = data_folder("personas").parent.parent / "shared" / "data" / "personas"

PILOT = ["Steer north by the buoy", "North by east, past the buoy", "The tide sets north of the bar"]
CLERK = ["Enter the fee in the book", "The book shows a fee unpaid", "A receipt is entered for the fee"]


@pytest.fixture
def classifier() -> StyleClassifier:
    return StyleClassifier.fit({"pilot": PILOT, "clerk": CLERK})


class TestClassifier:
    def test_texts_are_given_to_the_class_whose_words_they_use(self, classifier: StyleClassifier) -> None:
        assert classifier.classes == ("pilot", "clerk")
        assert classifier.predict(["past the bar, north", "Book that receipt!"]) == ["pilot", "clerk"]
        assert classifier.predict([]) == []

    def test_accuracy_is_the_share_of_one_class(self, classifier: StyleClassifier) -> None:
        texts = ["north by the buoy", "the tide", "a fee in the book", "the bar"]
        assert classifier.accuracy(texts, "pilot") == 0.75
        assert classifier.accuracy(texts, "clerk") == 0.25

    def test_neither_case_nor_the_edition_s_quotation_marks_count(self, classifier: StyleClassifier) -> None:
        plain = StyleClassifier.fit({"a": ["it's a fee", "a book"], "b": ["he'll steer", "a buoy"]})
        marked = StyleClassifier.fit(
            {"a": ["“It\u2019s” A FEE", "a book."], "b": ["\u2018he\u2019ll\u2019 steer", "a BUOY!"]}
        )
        text = ["he\u2019ll see: it's a “book”"]
        assert plain.pipeline.predict_proba(text).tolist() == marked.pipeline.predict_proba(text).tolist()

    def test_a_class_with_more_texts_is_not_likelier_beforehand(self) -> None:
        classifier = StyleClassifier.fit({"many": ["north buoy"] * 50, "few": ["fee book"]})
        proportions = classifier.pipeline.predict_proba(["unheard"])[0]
        assert proportions.tolist() == pytest.approx([0.5, 0.5])

    def test_without_scikit_learn_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "sklearn.naive_bayes", None)
        with pytest.raises(MissingExtra, match=r"pip install 'consilium\[eval\]'"):
            StyleClassifier.fit({"pilot": PILOT, "clerk": CLERK})

    @pytest.mark.parametrize("texts", [{}, {"pilot": PILOT}, {"pilot": PILOT, "clerk": []}])
    def test_less_than_two_voices_are_refused(self, texts: dict[str, list[str]]) -> None:
        with pytest.raises(BadRows, match="two classes with texts"):
            StyleClassifier.fit(texts)

    @pytest.mark.parametrize(("texts", "name"), [(PILOT, "pirate"), ([], "pilot")])
    def test_accuracy_needs_texts_and_a_class_that_was_learned(
        self, texts: list[str], name: str, classifier: StyleClassifier
    ) -> None:
        with pytest.raises(BadRows, match=f"{len(texts)} texts of class {name!r}; learned were pilot, clerk"):
            classifier.accuracy(texts, name)


class TestReading:
    def test_files_are_classes_and_short_texts_are_left_out(self, tmp_path: Path) -> None:
        long, short = "x" * MIN_CHARS, "x" * (MIN_CHARS - 1)
        for stem, field in (("pilot", "text"), ("clerk", "definition"), ("mate", "fable")):
            rows = [{"title": "ignored", field: text} for text in (long, short, f"  {short}  ")]
            (tmp_path / f"{stem}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        (tmp_path / "NOTE.txt").write_text("no rows")
        assert read_style_texts(tmp_path) == {"clerk": [long], "mate": [long], "pilot": [long]}

    def test_a_folder_without_files_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadRows, match="holds no"):
            read_style_texts(tmp_path)

    @pytest.mark.parametrize("row", [{"verse": "a"}, {"text": None}, {"text": 7}])
    def test_a_row_without_text_is_named(self, row: dict[str, object], tmp_path: Path) -> None:
        (tmp_path / "pilot.jsonl").write_text(json.dumps({"text": "a"}) + "\n" + json.dumps(row))
        with pytest.raises(BadRows, match=r"pilot\.jsonl line 2 has the text"):
            read_style_texts(tmp_path)


@pytest.mark.skipif(not VOICES.is_dir(), reason=f"the period voices are not at {VOICES}")
def test_eight_period_voices_are_told_apart() -> None:
    train, test = {}, {}
    for name, texts in read_style_texts(VOICES).items():
        random.Random(0).shuffle(texts)  # noqa: S311 -- a split, not a secret
        train[name], test[name] = texts[:220], texts[220:280]
    classifier = StyleClassifier.fit(train)
    assert len(test) == 8
    accuracy = sum(classifier.accuracy(texts, name) for name, texts in test.items()) / len(test)
    # Measured 0.856; 480 texts give +-3 points at 95 %, and chance is 0.125.
    assert accuracy > 0.80
