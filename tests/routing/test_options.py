"""Requests with the answers to choose from: nothing of either is lost, and the order tells nothing."""

from random import Random

from consilium.routing.options import FORMS, with_options

TEXT = "Is the berth {free}?"
LABELS = ("free", "taken", "unknown")


def test_request_and_answers_are_all_there_in_every_form() -> None:
    shown = {with_options(TEXT, LABELS, Random(seed)) for seed in range(200)}
    assert all(TEXT in text and all(label in text for label in LABELS) for text in shown)
    assert len(shown) > 5 * len(FORMS)  # each in several orders of the answers


def test_a_single_answer_is_no_choice_but_no_error() -> None:
    assert all("free" in with_options(TEXT, ["free"], Random(seed)) for seed in range(30))
