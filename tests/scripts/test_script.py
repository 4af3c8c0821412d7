"""Scripts that cannot be played are refused with their line, before a council is there."""

import json
from pathlib import Path

import pytest

from consilium.errors import BadScript
from consilium.scripts.script import Script
from consilium.scripts.script_file import MAX_TURNS
from tests.support.scripts import TITLE, write_script

SAY = '[[turns]]\nsay = "a"\n'

BROKEN = {
    "an unknown field": (SAY + 'sya = "b"\n', 4, "no such field"),
    "an unknown table": (SAY + "[lmits]\n", 4, "no such field"),
    "an unknown field deep inside": (SAY + "[turns.expect]\nnumber = {near = 1, whithin = 2}\n", 5, "no such field"),
    "no turns": ("[cast]\n", 1, "required"),
    "a wrong type": (SAY + "[limits]\ntokens = 'many'\n", 5, "integer"),
    "a turn that is nothing": ("[[turns]]\nid = 'a'\n", 2, "exactly one of"),
    "a turn that is two things": (SAY + "played_by = 'pilot'\n", 2, "exactly one of"),
    "a cue without a player": (SAY + "cue = 'b'\n", 2, "'cue' goes with"),
    "two loops in one": (SAY + "repeat = 2\nfor_each = 'r'\n", 2, "two loops"),
    "a block that expects": ("[[turns]]\nmembers = ['pilot']\n[[turns.turns]]\nsay = 'a'\n", 2, "belongs to a turn"),
    "an order without its policy": (SAY + "[speakers]\norder = ['pilot']\n", 4, "goes with policy"),
    "a policy without its order": (SAY + "[speakers]\npolicy = 'order'\n", 4, "needs the list"),
    "an order that is too short": (
        "[speakers]\npolicy = 'order'\norder = ['pilot']\n" + SAY * 2, 4, "1 names, and 2 turns"
    ),
    "an order that breaks the table": (
        "[speakers]\npolicy = 'order'\norder = ['pilot', 'pilot']\nmay_follow = {pilot = ['mate']}\n" + SAY * 2,
        4,
        "may not follow",
    ),
    "variables in a circle": (
        "[variables]\na = '{b}'\nb = '{c}'\nc = '{a}'\n" + SAY, (3, 4, 5), "goes round in a circle: "
    ),
    "a variable of nothing": ("[variables]\na = '{b}'\n" + SAY, 3, "{b} is no variable"),
    "a variable with a name that is taken": ("[variables]\nverdict = 'b'\n" + SAY, 3, "value of its own"),
    "an unknown name": (SAY + "[[turns]]\nsay = 'x {nobody}'\n", 5, "{nobody} is neither"),
    "a verdict before the first": ("[[turns]]\nsay = '{verdict}'\n", 3, "there is none"),
    "a verdict of a later turn": (
        "[[turns]]\nid = 'x'\nsay = '{verdicts.y}'\n[[turns]]\nid = 'y'\nsay = '{verdicts.x}'\n", 4, "none before it"
    ),
    "a first turn that is played": ("[[turns]]\nplayed_by = 'pilot'\n", 3, "there is none"),
    "a row outside of a loop": ("[[turns]]\nsay = '{row.a}'\n", 3, "outside of a loop"),
    "a round outside of a loop": ("[[turns]]\nsay = '{round}'\n", 3, "{round} is neither"),
    "rows that are not there": (SAY + "for_each = 'r'\n", 4, "there are no rows 'r'"),
    "rows that are empty": ("rows.r = []\n" + SAY + "for_each = 'r'\n", 5, "are empty"),
    "a column that a row lacks": (
        "[[rows.r]]\na = 1\n[[rows.r]]\nb = 1\n[[turns]]\nfor_each = 'r'\nsay = '{row.a}'\n", 8, "no column"
    ),
    "a row that is a table": ("[[rows.r]]\na = [1]\n" + SAY, 3, "valid"),
    "a file of rows outside of the folder": ("[rows.r]\nfile = '../r.csv'\n" + SAY, 3, "pattern"),
    "a file of rows that is not there": ("[rows.r]\nfile = 'r.csv'\n" + SAY, 2, "does not exist"),
    "a look-around": (SAY + "[turns.expect]\nmatches = '(?=a)'\n", 5, "RE2 does not take"),
    "a schema that is none": (SAY + "[turns.expect]\njson_schema = {type = 'boat'}\n", 5, "no JSON Schema"),
    "a schema that refers": (SAY + "[turns.expect]\njson_schema = {'$ref' = '#'}\n", 5, "'$ref' is not read"),
    "a number without a value": (SAY + "[turns.expect]\nnumber = {within = 1}\n", 5, "near"),
    "an unknown metric": (SAY + "[[turns.expect.metrics]]\nname = 'x'\nat_least = 1\n", 5, "no metric is called 'x'"),
    "a metric without references": (
        SAY + "[[turns.expect.metrics]]\nname = 'chrf'\nat_least = 1\n", 4, "references"
    ),
    "a name in an expectation": (SAY + "expect = {equals = '{nobody}'}\n", 4, "{nobody} is neither"),
    "ten thousand turns": (SAY * 10_000, 2 + 2 * MAX_TURNS, f"at most {MAX_TURNS:,}"),
    "ten thousand times": (SAY + SAY + "repeat = 10_000\n", 4, f"at most {MAX_TURNS:,}"),
    "loops in loops": (
        "[[turns]]\nrepeat = 100\n[[turns.turns]]\nrepeat = 100\n[[turns.turns.turns]]\nsay = 'a'\n", 2, "10,000"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_script_is_refused_with_its_line(tmp_path: Path, fault: str) -> None:
    text, line, message = BROKEN[fault]
    path = write_script(tmp_path, text)
    with pytest.raises(BadScript) as refused:
        Script.read(path)
    said = str(refused.value)
    assert said.startswith(tuple(f"{path}, line {n}: " for n in (line if isinstance(line, tuple) else (line,)))), said
    assert message in said


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[cast]\nmembers = ['pilto']\n", 3, "Did you mean 'pilot'"),
        ("[cast]\ngroups = ['see']\n", 3, "There are: shore, water"),
        ("[cast]\nroles = {a = 'nobody'}\n", 3, "no member is called 'nobody'"),
        ("[cast]\nmembers = ['pilot']\nmute = ['pilot']\n", 2, "nobody of the cast may sit"),
        ("[cast]\npinned = ['pilot']\nmute = ['pilot']\n", 3, "pinned and mute"),
        ("[cast]\nmute = ['pilot']\n[[turns]]\nsay = 'b'\nmembers = ['pilot']\n", 3, "a turn names it"),
        ("[speakers]\nmay_follow = {pilot = []}\n", 3, "names nobody of the cast"),
        ("[speakers]\npolicy = 'talkativeness'\ntalkativeness = {pilot=0, mate=0, clerk=0}\n", 4, "everybody of the"),
        ("[[turns]]\nplayed_by = 'nobody'\ncue = 'b'\n", 3, "no member is called 'nobody'"),
        ("[[turns]]\nsay = 'b'\n[turns.expect]\nsits = ['nobody']\n", 5, "no member is called 'nobody'"),
        ("[[turns]]\nsay = 'b'\n[[turns.expect.judged]]\nquestion='c'\nby='nobody'\nat_least=1\n", 6, "'nobody'"),
        ("[cast]\ncards = ['nobody.json']\n", 3, "does not exist"),
    ],
)
def test_a_script_that_does_not_fit_the_catalogue_is_refused_with_its_line(
    harbour: Path, text: str, line: int, message: str
) -> None:
    path = write_script(harbour.parent, TITLE + text + SAY)
    with pytest.raises(BadScript) as refused:
        Script.read(path).catalogue(harbour)
    assert str(refused.value).startswith(f"{path}, line {line}: ")
    assert message in str(refused.value)


def test_variables_stand_in_each_other_and_are_replaced_by_the_caller(tmp_path: Path) -> None:
    path = write_script(tmp_path, "[variables]\nwhole = '{part} of {number}'\npart = 'half'\nnumber = 2\n" + SAY)
    assert Script.read(path).variables["whole"] == "half of 2"
    assert Script.read(path, variables={"part": "{number}"}).variables["whole"] == "2 of 2"
    with pytest.raises(BadScript, match="no variable 'x'"):
        Script.read(path, variables={"x": "1"})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.jsonl", '{"ask": "a, b", "n": 1}\n\n{"ask": "c", "n": null, "more": [1]}\n{"ask": "d"}\n'),
        ("r.csv", '\ufeffask,n\r\n"a, b",1\r\nc,null\r\nd,2\r\n'),
    ],
)
def test_rows_come_from_a_file_beside_the_script(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    text = f"[rows.r]\nfile = '{name}'\nlimit = 2\n[[turns]]\nfor_each = 'r'\nsay = '{{row.ask}}{{row.n}}'\n"
    steps = Script.read(write_script(tmp_path, text)).steps()
    assert [(step.row["ask"], step.row["n"], step.round) for step in steps] == [("a, b", "1", 1), ("c", "null", 2)]


def test_a_row_may_hold_any_character_that_json_takes_as_it_is(tmp_path: Path) -> None:
    said = "a\u2028b\u2029c\u0085d"
    content = "\r\n".join(json.dumps({"ask": text}, ensure_ascii=False) for text in (said, "e"))
    (tmp_path / "r.jsonl").write_text(content, encoding="utf-8", newline="")
    text = "[rows.r]\nfile = 'r.jsonl'\n[[turns]]\nfor_each = 'r'\nsay = '{row.ask}'\n"
    steps = Script.read(write_script(tmp_path, text)).steps()
    assert [step.row["ask"] for step in steps] == [said, "e"]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [("r.jsonl", '{"a": 1}\n{"a"\n', 2), ("r.jsonl", "[1]\n", 1), ("r.csv", "a,b\n1\n", 2), ("r.csv", 'a\n"b\n', 2)],
)
def test_a_broken_row_is_named_by_file_and_line(tmp_path: Path, name: str, content: str, line: int) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(BadScript, match=f"{name}, line {line}: "):
        Script.read(write_script(tmp_path, f"[rows.r]\nfile = '{name}'\n" + SAY))


def test_loops_are_unrolled_in_order_and_begin_anew_where_they_say_so(tmp_path: Path) -> None:
    block = "[[turns]]\nrepeat = 2\nfresh = true\n"
    inside = "[[turns.turns]]\nsay = 'a'\n[[turns.turns]]\nrepeat = 2\nsay = '{round}'\n"
    steps = Script.read(write_script(tmp_path, SAY + block + inside)).steps()
    assert [(step.turn.say, step.round, step.fresh) for step in steps] == [
        ("a", 1, True),
        *[("a", 1, True), ("{round}", 1, False), ("{round}", 2, False)],
        *[("a", 2, True), ("{round}", 1, False), ("{round}", 2, False)],
    ]
