"""Stop strings are found however the text is cut into pieces."""

from hypothesis import given
from hypothesis import strategies as st

from consilium.engines.embedded.stops import StopScanner

TEXT = st.text(alphabet="abn\n", max_size=30)


@given(pieces=st.lists(TEXT, max_size=8), stops=st.lists(st.text(alphabet="abn\n", min_size=1, max_size=4), max_size=3))
def test_pieces_make_no_difference(pieces: list[str], stops: list[str]) -> None:
    scanner = StopScanner(stops)
    shown = ""
    for piece in pieces:
        if not scanner.stopped:
            shown += scanner.feed(piece)
    if not scanner.stopped:
        shown += scanner.flush()
    assert not any(stop in shown for stop in stops)
    whole = "".join(pieces)
    assert whole.startswith(shown)
    assert scanner.stopped == any(stop in whole for stop in stops)


def test_nothing_is_held_back_without_a_reason() -> None:
    assert StopScanner([]).feed("text") == "text"
    assert StopScanner(["STOP"]).feed("text") == "text"
    scanner = StopScanner(["STOP"])
    assert scanner.feed("a ST") == "a "
    assert scanner.flush() == "ST"
