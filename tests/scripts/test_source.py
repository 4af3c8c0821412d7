"""Reading scripts that nobody trusts: lines, and what is refused at what price."""

import time
from pathlib import Path

import pytest
import yaml

from consilium.errors import BadScript
from consilium.scripts.source import MAX_SCRIPT_BYTES, read_source
from tests.support.scripts import write_script

TOML = """title = "x"
# a comment, and [no.table]
[cast]
members = [
  "pilot", # [[turns]]
  "mate",
]
roles = {a = "pilot", b = "mate"}
"""

TURNS = '''
[[turns]]
say = """
[[turns]]
say = 'not this'
"""
[turns.expect]
sits = ["pilot"]
number.least = 3

[[turns]]
repeat = 2
[[turns.turns]]
say = "a"
[[turns.turns]]
say = "b"
[[turns]]
[[turns.turns]]
say = "c"
'''

PLACES = {
    ("title",): 1,
    ("cast",): 3,
    ("cast", "members", 1): 4,
    ("cast", "roles", "b"): 8,
    ("turns", 0): 10,
    ("turns", 0, "say"): 11,
    ("turns", 0, "expect", "sits", 0): 16,
    ("turns", 0, "expect", "number", "least"): 17,
    ("turns", 1, "turns", 0, "say"): 22,
    ("turns", 1, "turns", 1, "say"): 24,
    ("turns", 2, "turns", 0, "say"): 27,
    ("turns", 2, "turns", 0, "nowhere", "deep"): 26,
    ("nowhere",): 1,
}

BOMBS = {
    "lists.toml": "a=" + "[" * 80_000,
    "keys.toml": ".".join(["a"] * 100_000) + " = 1",
    "quoted_keys.toml": " . ".join(['"a"'] * 40_000) + " = 1",
    "header.toml": "[" + ".".join(["a"] * 100_000) + "]",
    "deep.toml": "a=" + "[" * 30 + "]" * 30,
    "digits.toml": "a=" + "1" * 200_000,
    "laughs.yaml": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "circle.yaml": "a: &a\n  b: *a\n",
    "merge.yaml": "a: &a {b: 1}\nc:\n  <<: *a\n",
    "lists.yaml": "a: " + "[" * 200_000,
    "tables.yaml": "a: {" * 50_000,
    "dashes.yaml": "- " * 100_000,
    "digits.yaml": "a: " + "1" * 200_000,
    "code.yaml": "a: !!python/object/apply:os.system ['id']",
    "set.yaml": "a: !!set {b}",
    "twice.yaml": "a: 1\na: 2",
    "two.yaml": "a: 1\n---\na: 2",
    "number_key.yaml": "1: a",
    "empty.yaml": "",
    "control.yaml": "a: \x01",
    "list.yaml": "[a]",
    "large.toml": "#" * (MAX_SCRIPT_BYTES + 1),
    "open.toml": 'a = "b',
    "other.json": "{}",
}


def test_every_part_of_a_toml_file_has_its_line(tmp_path: Path) -> None:
    source = read_source(write_script(tmp_path, TOML + TURNS))
    assert {place: source.line(place) for place in PLACES} == PLACES


def test_every_part_of_a_yaml_file_has_its_line(tmp_path: Path) -> None:
    source = read_source(
        write_script(tmp_path, "title: x\nturns:\n- say: a\n  expect:\n    sits: [a,\n     b]\n", "a.yaml")
    )
    assert source.data == {"title": "x", "turns": [{"say": "a", "expect": {"sits": ["a", "b"]}}]}
    assert [source.line(("turns", 0, "expect", *rest)) for rest in [(), ("sits",), ("sits", 1)]] == [4, 5, 6]


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_at_once(tmp_path: Path, name: str) -> None:
    path = write_script(tmp_path, BOMBS[name], name)
    started = time.perf_counter()
    with pytest.raises(BadScript) as refused:
        read_source(path)
    assert time.perf_counter() - started < 2
    assert str(path) in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(("name", "line"), [("circle.yaml", 1), ("twice.yaml", 2), ("two.yaml", 2), ("deep.toml", 2)])
def test_what_is_refused_is_named_with_its_line(tmp_path: Path, name: str, line: int) -> None:
    with pytest.raises(BadScript, match=f"line {line}"):
        read_source(write_script(tmp_path, BOMBS[name], name))


def test_a_script_that_is_no_text_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"a=1\nb='\xff'")
    with pytest.raises(BadScript, match="line 2: not UTF-8"):
        read_source(tmp_path / "a.toml")
    with pytest.raises(BadScript, match="does not exist"):
        read_source(tmp_path / "b.toml")


def test_yaml_means_what_it_means_elsewhere(tmp_path: Path) -> None:
    data = {
        "text": ["yes", "1", "", "null", "ÿ\n  two lines\n", "{a}", "- b", "# c", "0x1f", "~", "1:30", "<<", "="],
        "else": [True, None, -17, 2.5, 1e300, {}, [], {"a": [{"b": {}}]}],
    }
    text = yaml.safe_dump(data, allow_unicode=True)
    assert read_source(write_script(tmp_path, text, "a.yaml")).data == data
