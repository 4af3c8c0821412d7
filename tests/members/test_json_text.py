"""JSON of strangers: what is refused, and that a change leaves every other byte alone."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.errors import BadPersona
from consilium.members.json_text import parse_object, with_value

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text().filter(lambda key: key != "new key"), VALUES, max_size=5)
DUMPED = st.sampled_from([{}, {"indent": 2}, {"indent": "\t"}, {"separators": (",", ":")}, {"ensure_ascii": False}])


def put(value: dict[str, Any], path: list[str], new: object) -> dict[str, Any]:
    """Return what `with_value` promises, made the plain way."""
    first, *rest = path
    return {**value, first: put(value.get(first, {}), rest, new) if rest else new}


@given(value=OBJECTS, dumped=DUMPED, key=st.text(), new=VALUES)
def test_a_value_is_put_into_any_object(value: dict[str, Any], dumped: dict[str, Any], key: str, new: object) -> None:
    changed = with_value(json.dumps(value, **dumped), (key,), new)
    expected = put(value, [key], new)
    assert parse_object(changed, where="it") == expected
    assert list(parse_object(changed, where="it")) == list(expected)


@given(inner=OBJECTS, dumped=DUMPED, new=VALUES)
def test_a_value_is_put_in_depth(inner: dict[str, Any], dumped: dict[str, Any], new: object) -> None:
    value = {"before": 1, "data": inner, "after": [2]}
    expected = put(value, ["data", "new key", "deeper"], new)
    changed = with_value(json.dumps(value, **dumped), ("data", "new key", "deeper"), new)
    assert parse_object(changed, where="it") == expected


def test_numbers_escapes_and_blanks_stay_as_they_were() -> None:
    text = (
        '\n{ "big" : 1e400, "long":0.10000000000000000555,\t'
        '"data":{"a" :1 ,"x" :  "old","\\u00e9":"\\ud83d\\u0000\\/" } }\n'
    )
    assert with_value(text, ("data", "x"), "new") == text.replace('"old"', '"new"')
    assert with_value(text, ("data", "z"), {}) == text.replace('\\/" }', '\\/", "z": {} }')


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not readable JSON"),
        ("{'a': 1}", "not readable JSON"),
        ('{"a": 1, "a": 2}', "a key occurs twice"),
        ('{"a": {"b": 1, "\\u0062": 2}}', "a key occurs twice"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": -Infinity}', "-Infinity is no JSON number"),
        ('{"a": ' + "9" * 5_000 + "}", "digits"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
        ('{"a": ' + '{"b": ' * 100_000 + "1" + "}" * 100_001, "nested too deeply"),
        ('["a"]', "a JSON list, not an object"),
        ('"a"', "a JSON str, not an object"),
        ('{"a": "\x07"}', "control character"),
    ],
)
def test_what_is_not_one_plain_object_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadPersona, match=reason) as caught:
        parse_object(text, where="card.json")
    assert str(caught.value).startswith("card.json ")
