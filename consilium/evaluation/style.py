"""Style: whose voice a text is in, by the words it uses."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from consilium.errors import BadRows, MissingExtra

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

SMOOTHING = 0.1
"""Added to each word's count in each class. At 1 the class with the longest texts swallows the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleClassifier:
    """Multinomial naive Bayes on counts of words, all classes equally likely beforehand.

    Words in lower case, without punctuation: editions differ in their quotation marks, and a member's statement should
    not be scored on those. Manning, Raghavan and Schütze 2008, "Introduction to Information Retrieval", section 13.2.

    >>> voices = {"pilot": ["steer north by the buoy"], "clerk": ["enter the fee in the book"]}
    >>> StyleClassifier.fit(voices).predict(["the book and the fee"])
    ['clerk']
    """

    classes: tuple[str, ...]
    pipeline: "Pipeline"

    @classmethod
    def fit(cls, texts_by_class: Mapping[str, Sequence[str]]) -> Self:
        """Learn from texts by class; the same texts give the same classifier.

        Raises:
            BadRows: fewer than two classes, or one without texts.
            MissingExtra: scikit-learn is not installed.
        """
        if len(texts_by_class) < 2 or not all(texts_by_class.values()):
            sizes = {name: len(texts) for name, texts in texts_by_class.items()}
            raise BadRows(f"texts by class: {sizes!r}. A style is told from another: give two classes with texts.")
        try:
            from sklearn.feature_extraction.text import CountVectorizer
            from sklearn.naive_bayes import MultinomialNB
            from sklearn.pipeline import make_pipeline
        except ImportError as error:
            raise MissingExtra("the style classifier needs scikit-learn: pip install 'consilium[eval]'") from error
        pipeline = make_pipeline(CountVectorizer(analyzer=_words), MultinomialNB(alpha=SMOOTHING, fit_prior=False))
        pairs = [(text, name) for name, texts in texts_by_class.items() for text in texts]
        pipeline.fit([text for text, _ in pairs], [name for _, name in pairs])
        return cls(classes=tuple(texts_by_class), pipeline=pipeline)

    def predict(self, texts: Sequence[str]) -> list[str]:
        """Return the likeliest class of each text."""
        return [str(name) for name in self.pipeline.predict(list(texts))] if texts else []

    def accuracy(self, texts: Sequence[str], class_name: str) -> float:
        """Return the share, from 0 to 1, of the texts that are taken for ``class_name``.

        Raises:
            BadRows: there are no texts, or no class of that name was learned.
        """
        if not texts or class_name not in self.classes:
            raise BadRows(f"{len(texts)} texts of class {class_name!r}; learned were {', '.join(self.classes)}.")
        return self.predict(texts).count(class_name) / len(texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """A style, learned."""

    classifier: StyleClassifier
    author: str
    learned: tuple[str, ...]
    """The replies that the member was trained on, for the copy rate."""


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
