"""What a learned router has to beat: chance, words, and classifiers over words or sentences."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from consilium.errors import BadSettings, MissingExtra
from consilium.members.catalogue import Catalogue
from consilium.routing.classifier import Classifier, Example, Probabilities, digest_of

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

    from consilium.routing.sentence import SentenceEncoder

_WORD = re.compile(r"[^\W_]{3,}")
NEIGHBOURS = 10
"""Of kNN; those nearer count for more."""


def chance(catalogue: Catalogue, seed: int = 0) -> Classifier:
    """Return the router that draws a member, the same for the same message and seed."""
    members = tuple(catalogue.members)

    def probabilities(messages: Sequence[str]) -> Probabilities:
        rows = np.zeros((len(messages), len(members)))
        for row, message in zip(rows, messages, strict=True):
            drawn = hashlib.sha256(f"{seed}\0{message}".encode("utf-8", "surrogatepass")).digest()
            row[int.from_bytes(drawn[:8]) % len(members)] = 1.0
        return rows

    return Classifier(
        name="chance", members=members, digest=digest_of(f"chance {seed}", ()), probabilities=probabilities
    )


def oracle(right: Mapping[str, str], catalogue: Catalogue) -> Classifier:
    """Return the router that was told the right member of every message; the others go to the fallback."""
    members = tuple(catalogue.members)

    def probabilities(messages: Sequence[str]) -> Probabilities:
        chosen = [members.index(right.get(message, catalogue.fallback)) for message in messages]
        rows: Probabilities = np.eye(len(members))[chosen]
        return rows

    examples = [Example(message=message, member=member) for message, member in right.items()]
    return Classifier(name="oracle", members=members, digest=digest_of("oracle", examples), probabilities=probabilities)


def keywords(catalogue: Catalogue) -> Classifier:
    """Return the router that counts words which a member's persona has, each the more the fewer personas share it."""
    members = tuple(catalogue.members)
    known = [_words(" ".join([m.persona.description, *m.persona.examples])) for m in catalogue.members.values()]
    shared = Counter(word for words in known for word in words)

    def probabilities(messages: Sequence[str]) -> Probabilities:
        rows = np.full((len(messages), len(members)), 1e-3)
        for row, message in zip(rows, messages, strict=True):
            for word in _words(message) & shared.keys():
                row += [(word in words) / shared[word] for words in known]
        rows /= rows.sum(1, keepdims=True)
        return rows

    personas = [member.persona for member in catalogue.members.values()]
    examples = [Example(message=text, member=p.name) for p in personas for text in (p.description, *p.examples)]
    return Classifier(
        name="keywords", members=members, digest=digest_of("keywords", examples), probabilities=probabilities
    )


def naive_bayes(examples: Sequence[Example]) -> Classifier:
    """Return multinomial naive Bayes over words."""
    _check(examples)
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    return _fitted("naive Bayes", make_pipeline(CountVectorizer(), MultinomialNB()), examples)


def tfidf(examples: Sequence[Example]) -> Classifier:
    """Return logistic regression over tf-idf of words, pairs of words, and characters in words: the one to beat."""
    _check(examples)
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    regression = LogisticRegression(C=20.0, max_iter=200)
    return _fitted("tf-idf", make_pipeline(make_union(words, characters), regression), examples)


def sentence_centroid(examples: Sequence[Example], encoder: "SentenceEncoder") -> Classifier:
    """Return the nearest mean of each member's messages in a sentence encoder's space."""
    _check(examples)
    from sklearn.neighbors import NearestCentroid

    return _fitted("MiniLM centroid", NearestCentroid(), examples, encoder)


def sentence_neighbours(examples: Sequence[Example], encoder: "SentenceEncoder") -> Classifier:
    """Return k nearest neighbours there."""
    _check(examples)
    from sklearn.neighbors import KNeighborsClassifier

    neighbours = KNeighborsClassifier(min(NEIGHBOURS, len(examples)), weights="distance")
    return _fitted("MiniLM kNN", neighbours, examples, encoder)


def sentence_logistic(examples: Sequence[Example], encoder: "SentenceEncoder") -> Classifier:
    """Return logistic regression there."""
    _check(examples)
    from sklearn.linear_model import LogisticRegression

    return _fitted("MiniLM logistic", LogisticRegression(C=10.0, max_iter=1_000), examples, encoder)


def _check(examples: Sequence[Example]) -> None:
    """Raise where there is nothing to tell apart, or nothing to do it with."""
    members = {example.member for example in examples}
    if len(members) < 2:
        raise BadSettings(f"examples of {sorted(members)}: a router tells members apart. Give those of two at least.")
    try:
        import sklearn  # noqa: F401 -- only asked whether it is there
    except ImportError as error:
        raise MissingExtra("this router needs scikit-learn: pip install 'consilium[eval]'") from error


def _fitted(
    name: str,
    model: "ClassifierMixin",
    examples: Sequence[Example],
    encoder: "SentenceEncoder | None" = None,
) -> Classifier:
    """Fit a scikit-learn classifier on what the encoder makes of the messages, or on the messages themselves."""
    read: Callable[[Sequence[str]], Any] = encoder.encode if encoder else list
    model.fit(read([example.message for example in examples]), [example.member for example in examples])

    def probabilities(messages: Sequence[str]) -> Probabilities:
        found: Probabilities = model.predict_proba(read(messages))
        return found

    return Classifier(
        name=name,
        members=tuple(model.classes_.tolist()),
        digest=digest_of(f"{name} {model!r} {encoder.name if encoder else ''}", examples),
        probabilities=probabilities,
    )


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
