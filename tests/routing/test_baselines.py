"""The baselines: each keeps a router's promises, and tells invented requests apart that differ in their words."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.errors import BadSettings, MissingExtra
from consilium.members.catalogue import Catalogue
from consilium.routing import baselines, sentence
from consilium.routing.classifier import Classifier, ClassifierRouter, Example
from consilium.routing.protocol import Request
from consilium.testing.router import RouterConformance
from tests.support.personas import write_catalogue, write_harbour, write_persona

BOATS = ("skiff", "cutter", "ketch", "sloop", "barge", "tug", "dinghy", "ferry")
EXAMPLES = [
    *(Example(message=f"Steer the {boat} north past the red buoy.", member="pilot") for boat in BOATS),
    *(Example(message=f"Whose turn is it to scrub the deck of the {boat}?", member="mate") for boat in BOATS),
    *(Example(message=f"Enter the unpaid fee of the {boat} in the book.", member="clerk") for boat in BOATS),
]
UNSEEN = {
    "Steer the yacht in, north of the buoys.": "pilot",
    "The deck of the yacht is dirty, who has to scrub it?": "mate",
    "Which fees of the yacht are in the book?": "clerk",
}
FITTED: dict[str, Callable[[list[Example], sentence.SentenceEncoder], Classifier]] = {
    "naive Bayes": lambda examples, _: baselines.naive_bayes(examples),
    "tf-idf": lambda examples, _: baselines.tfidf(examples),
    "MiniLM centroid": baselines.sentence_centroid,
    "MiniLM kNN": baselines.sentence_neighbours,
    "MiniLM logistic": baselines.sentence_logistic,
}


@pytest.fixture(scope="module")
def encoder() -> sentence.SentenceEncoder:
    return sentence.SentenceEncoder()


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Catalogue.load(write_harbour(tmp_path_factory.mktemp("harbour")))


@pytest.fixture(scope="module", params=FITTED)
def fitted(request: pytest.FixtureRequest, encoder: sentence.SentenceEncoder, catalogue: Catalogue) -> ClassifierRouter:
    return ClassifierRouter(FITTED[request.param](EXAMPLES, encoder), catalogue)


class TestFitted(RouterConformance):
    members = ("clerk", "pilot", "mate")

    @pytest.fixture
    def router(self, fitted: ClassifierRouter) -> ClassifierRouter:
        return fitted

    @pytest.mark.parametrize(("message", "member"), UNSEEN.items())
    async def test_unseen_requests_find_their_member(self, router: ClassifierRouter, message: str, member: str) -> None:
        decision = await router.route(Request(message=message, seats=1))
        assert decision.seats[0].member == member


class TestUnfitted(RouterConformance):
    members = ("clerk", "pilot", "mate")

    @pytest.fixture(params=["chance", "oracle", "keywords"])
    def router(self, request: pytest.FixtureRequest, catalogue: Catalogue) -> ClassifierRouter:
        made = {
            "chance": lambda: baselines.chance(catalogue),
            "oracle": lambda: baselines.oracle(UNSEEN, catalogue),
            "keywords": lambda: baselines.keywords(catalogue),
        }
        return ClassifierRouter(made[request.param](), catalogue)


@pytest.mark.parametrize("name", FITTED)
def test_a_digest_is_of_name_and_examples(name: str, encoder: sentence.SentenceEncoder) -> None:
    fit = FITTED[name]
    first, again, fewer = (fit(examples, encoder).digest for examples in (EXAMPLES, EXAMPLES, EXAMPLES[:-1]))
    assert first == again
    assert first != fewer


def test_chance_spreads_out_and_is_the_same_for_the_same_message(catalogue: Catalogue) -> None:
    messages = [f"message {number}" for number in range(900)]
    drawn = baselines.chance(catalogue, seed=1).probabilities(messages)
    assert np.array_equal(drawn, baselines.chance(catalogue, seed=1).probabilities(messages))
    assert not np.array_equal(drawn, baselines.chance(catalogue, seed=2).probabilities(messages))
    assert drawn.mean(0) == pytest.approx([1 / 3] * 3, abs=0.06)


async def test_the_oracle_knows_and_leaves_the_rest_to_the_fallback(catalogue: Catalogue) -> None:
    router = ClassifierRouter(baselines.oracle(UNSEEN, catalogue), catalogue)
    for message, member in {**UNSEEN, "thanks!": "clerk"}.items():
        assert (await router.route(Request(message=message, seats=3))).seats[0].member == member


def test_keywords_count_for_more_the_fewer_share_them(tmp_path: Path) -> None:
    for name, examples in {
        "pilot": ["buoy ahead", "boat left", "left"],
        "clerk": ["a boat", "fee paid", "book"],
    }.items():
        write_persona(tmp_path, name, "crew", description="One.", examples=examples)
    write_catalogue(tmp_path, {"crew": ["pilot", "clerk"]}, fallback="clerk")
    scores = baselines.keywords(Catalogue.load(tmp_path)).probabilities(["the boat by the buoy", "zzz", "boat"])
    assert scores[0, 0] > 0.7
    assert scores[1:].tolist() == [pytest.approx([0.5, 0.5])] * 2


def test_one_member_is_nothing_to_tell_apart() -> None:
    with pytest.raises(BadSettings, match=r"examples of \['mate'\]"):
        baselines.naive_bayes([Example(message="hello", member="mate")])


def test_a_classifier_of_strangers_is_refused_by_name(catalogue: Catalogue) -> None:
    examples = [*EXAMPLES, Example(message="Peel the potatoes.", member="cook")]
    with pytest.raises(BadSettings, match="naive Bayes router knows 'cook'"):
        ClassifierRouter(baselines.naive_bayes(examples), catalogue)


def test_an_encoder_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence, "_PACKAGE", "no_such_package")
    with pytest.raises(MissingExtra, match=r"consilium\[eval\]"):
        sentence.SentenceEncoder()


def test_sentences_of_one_meaning_lie_closer_than_others(encoder: sentence.SentenceEncoder) -> None:
    vectors = encoder.encode(["The boat is late.", "The ship has been delayed.", "Peel the potatoes."])
    assert vectors.shape == (3, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1.0] * 3, abs=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def test_what_was_encoded_is_not_encoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    encode = sentence.SentenceEncoder.encode

    def told(self: sentence.SentenceEncoder, messages: list[str]) -> NDArray[np.float32]:
        asked.extend(messages)
        return encode(self, messages)

    monkeypatch.setattr(sentence.SentenceEncoder, "encode", told)
    remembering = sentence.RememberingEncoder()
    first, again = remembering.encode(["a boat", "a cart", "a boat"]), remembering.encode(["a cart", "a mule"])
    assert asked == ["a boat", "a cart", "a mule"]
    assert np.array_equal(first[[0, 1]], [first[2], again[0]])
    assert not np.array_equal(again[0], again[1])
