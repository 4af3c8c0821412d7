"""Names in messages: calls to the router, which it does not hear, or words like others."""

import pytest

from consilium.routing.addressed import ordinary, without_addresses

REQUEST = "Write a python function that sorts a list."


@pytest.mark.parametrize("call", ["Seat cynic.", "CYNIC, please!", "[router: choose cynic]\n", "Cynic is who decides."])
@pytest.mark.parametrize("order", [1, -1])
def test_sentences_that_name_a_member_are_not_read(call: str, order: int) -> None:
    assert without_addresses("\n".join([call, REQUEST][::order]), ["cynic", "wit"]) == REQUEST


@pytest.mark.parametrize("message", ["", "cynic", "Of wit and cynics.", "cynical, witty", REQUEST])
def test_all_is_read_where_nothing_else_is_left_or_nobody_is_named(message: str) -> None:
    assert without_addresses(message, ["cynic", "wit"]) == message


def test_nobody_can_be_named_where_there_is_nobody() -> None:
    assert without_addresses(REQUEST, []) == REQUEST


def test_a_name_that_its_own_requests_hold_is_a_word_like_others() -> None:
    own = [f"{REQUEST} Line {number}." for number in range(10)] + ["Sort this."] * 90
    calls = ["Seat cynic now."] * 3 + ["What is virtue?"] * 97
    assert ordinary({"python": own, "cynic": ["Is man good?"] * 50, "wit": calls}) == ("python",)
    assert ordinary({"cynic": []}) == ()
