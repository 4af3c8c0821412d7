"""The style classifier, on invented voices, and on the period voices where they are at hand."""

import json
import random
import sys

import pytest

from consilium.errors import BadRows, MissingExtra
from consilium.evaluation.style import StyleClassifier
from tests.support.data import SHARED

VOICES = SHARED / "personas"

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


@pytest.mark.skipif(not VOICES.is_dir(), reason=f"the period voices are not at {VOICES}")
def test_eight_period_voices_are_told_apart() -> None:
    train, test = {}, {}
    for file in sorted(VOICES.glob("*.jsonl")):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        texts = [row.get("text") or row.get("definition") or row["fable"] for row in rows]
        name, texts = file.stem, [text for text in texts if len(text) >= 60]
        random.Random(0).shuffle(texts)
        train[name], test[name] = texts[:220], texts[220:280]
    classifier = StyleClassifier.fit(train)
    assert len(test) == 8
    accuracy = sum(classifier.accuracy(texts, name) for name, texts in test.items()) / len(test)
    # Measured 0.856; 480 texts give +-3 points at 95 %, and chance is 0.125.
    assert accuracy > 0.80
