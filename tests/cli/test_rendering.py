"""Whatever a model says, the terminal only shows it."""

from hypothesis import given
from hypothesis import strategies as st

from consilium.cli.rendering import clean, shortened

ATTACKS = st.lists(
    st.sampled_from(["\x1b]52;c;aGk=\x07", "\x1b[2J", "\x1b", "\x9b31m", "\u202e", "\u2066", "\x07", "text", "\n", "é"])
).map("".join)


@given(ATTACKS | st.text())
def test_nothing_that_commands_a_terminal_is_left(text: str) -> None:
    shown = clean(text)
    assert all(c in "\n\t" or (c >= " " and not "\x7f" <= c <= "\x9f") for c in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(st.text(max_size=60), st.integers(2, 20))
def test_shortened_fits_on_one_line(text: str, width: int) -> None:
    assert len(shortened(text, width)) <= width
    assert "\n" not in shortened(text, width)


def test_plain_text_is_left_as_it_is() -> None:
    assert clean("find . -name '*.txt'\n\t[bold]é") == "find . -name '*.txt'\n\t[bold]é"
