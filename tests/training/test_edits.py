"""Edits that are learned, and those that are undone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.training.edits import with_edits_at

REQUEST = "The old mill was built in 1702 , burned down twice , and now houses a museum of the region ."


@pytest.mark.parametrize(
    ("reply", "learned"),
    [
        (
            "The mill was built in 1703 , burned down twice . It now houses a museum of the whole region .",
            "The old mill was built in 1702 , burned down twice . It now houses a museum of the region .",
        ),
        (
            "The old mill was built in 1702 , burned down twice . It is now housing a museum of the region .",
            "The old mill was built in 1702 , burned down twice . It is now housing a museum of the region .",
        ),
        (
            "The old mill was built in 1702 . It burned down twice . Now it houses a museum of the whole region .",
            "The old mill was built in 1702 . It burned down twice . Now it houses a museum of the region .",
        ),
        ("The mill burned down . ", REQUEST),
        ("Nothing of it .", REQUEST),
    ],
)
def test_edits_that_put_the_mark_in_are_learned_and_what_follows_them_at_once(reply: str, learned: str) -> None:
    assert with_edits_at(".", REQUEST, reply) == learned


def test_a_mark_that_is_put_at_the_very_end_is_none() -> None:
    assert with_edits_at(".", "The boat left at ten", "The boat left at nine .") == "The boat left at ten"


@given(request=st.text("ab. ", max_size=40), reply=st.text("ab. ", max_size=40))
def test_a_reply_without_edits_or_without_the_mark_is_the_request(request: str, reply: str) -> None:
    words = " ".join(request.split())
    assert with_edits_at(".", request, request) == words
    assert with_edits_at("x", request, reply) == words
