"""Suites are read whole and checked before anybody is asked; what is wrong is named with its line."""

import json
from pathlib import Path

import pytest

from consilium import Catalogue, Suite
from consilium.errors import BadSuite
from consilium.suites.suite_file import ARMS
from tests.support.suites import load_suite, write_suite

ROW = '[[data]]\nname = "boats"\nmetrics = ["exact_match"]\nrows = [{id = "a", request = "x", references = ["y"]}]\n'


def test_a_suite_has_everybody_and_every_control_by_default(harbour: Path) -> None:
    suite = load_suite(harbour)
    assert suite.file.arms == ARMS
    assert suite.members == suite.alone == ("clerk", "pilot", "mate")
    assert [(case.id, case.part.name, case.row.replies) for case in suite.cases][2] == ("c", "boats", ("nay three",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = 1\n" + ROW, "line 1: title: "),
        ("tilte = 'x'\n" + ROW, "line 2: tilte: no such field here"),
        (ROW + "[council]\nseats = 0\n", "line 7: council.seats: "),
        (ROW + "[council]\nmethod = 'shout'\n", "line 7: council.method: "),
        ("arms = ['council', 'piolt']\n" + ROW, "line 2: arms.1: no member is called 'piolt'. Did you mean 'pilot'?"),
        ("arms = ['council', 'council']\n" + ROW, "an arm is named twice"),
        ("arms = []\n" + ROW, "line 2: arms: "),
        ("arms = ['base', 'base_vote']\n" + ROW, "'base_vote' is heard as often as the council, which is no arm"),
        ("members = ['nobody']\n" + ROW, "line 2: members.0: no member is called 'nobody'"),
        (ROW.replace("exact_match", "exact"), "line 4: data.0.metrics.0: no metric is called 'exact'"),
        (ROW.replace('metrics = ["exact_match"]\n', ""), "'metrics' is missing"),
        (ROW + "[judges.kind]\nquestion = 'Is it?'\nby = 'nobody'\n", "line 8: judges.kind.by: no member"),
        ("", "data: Field required"),
        ("data = []\n", "line 2: data: "),
        (ROW.replace('references = ["y"]', "references = []"), "data.0.rows.0: references=()"),
        (ROW.replace('request = "x"', 'request = ""'), "line 5: data.0.rows.0.request: "),
        (ROW.replace('name = "boats"\n', ""), "need a 'name'"),
        (ROW + ROW.replace('"a"', '"b"'), "line 6: data.1: a part is called 'boats' already"),
        (ROW + ROW.replace("boats", "ships"), "id 'a' stands in data.0.rows.0 too"),
        (ROW + "file = 'x.jsonl'\n", "give one of 'file', 'house' and 'rows'"),
        ("[[data]]\nhouse = 'nowhere'\nmembers = ['pilot']\n", "line 4: data.0.members.0: "),
        ("[[data]]\nhouse = 'nowhere'\n", "'house' needs 'members'"),
        ("[[data]]\nfile = 'no.jsonl'\nmetrics = ['chrf']\n", "line 3: data.0.file: "),
        ("[[data]]\nfile = 'empty.jsonl'\nmetrics = ['chrf']\n", "holds no rows"),
        ("[[data]]\nfile = 'twice.jsonl'\nmetrics = ['chrf']\n", "line 2: id '1' stands in "),
        ("[[data]]\nfile = 'torn.jsonl'\nmetrics = ['chrf']\n", "torn.jsonl line 2: no JSON"),
        ("[[data]]\nfile = 'other.jsonl'\nmetrics = ['chrf']\n", "other.jsonl line 1: no column 'request'; there are"),
        ("[[data]]\nfile = 'silent.jsonl'\nmetrics = ['chrf']\n", "silent.jsonl line 1: references=()"),
        ("[[data]]\nfile = 'frame.jsonl'\nmetrics = ['slot_f1']\n", "frame.jsonl line 1: reference 'y' is no frame"),
        ("title = 'x", "Correct the TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(harbour: Path, tmp_path: Path, text: str, said: str) -> None:
    good = {"id": 1, "request": "x", "references": ["y"]}
    files = {
        "empty": "",
        "twice": f"{json.dumps(good)}\n{json.dumps(good)}\n",
        "torn": f'{json.dumps(good)}\n{{"id',
        "other": '{"id": 1, "question": "x"}\n',
        "silent": '{"id": 1, "request": "x", "references": []}\n',
        "frame": f"{json.dumps(good)}\n",
    }
    for name, content in files.items():
        (tmp_path / f"{name}.jsonl").write_text(content)
    path = write_suite(tmp_path, text)
    with pytest.raises(BadSuite) as raised:
        Suite.load(path, catalogue=Catalogue.load(harbour))
    assert str(raised.value).startswith(f"{path}")
    assert said in str(raised.value)


@pytest.mark.parametrize("name", ["nowhere.toml", "nowhere", "a.yaml"])
def test_a_file_that_is_no_suite(harbour: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadSuite, match=name):
        Suite.load(tmp_path / name, catalogue=Catalogue.load(harbour))


def test_rows_come_from_jsonl_csv_and_parquet_alike(harbour: Path, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    rows = [{"no": 1, "ask": "x", "due": "y"}, {"no": 2, "ask": "z", "due": "w"}]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "r.csv").write_text("no,ask,due\n1,x,y\n2,z,w\n")
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "r.parquet")
    found = []
    for kind in ("jsonl", "csv", "parquet"):
        text = (
            f'[[data]]\nfile = "r.{kind}"\nmetrics = ["chrf"]\ncolumns = {{id="no", request="ask", references="due"}}'
        )
        found.append([(case.id, case.row.request, case.row.replies) for case in load_suite(harbour, text).cases])
    assert found == [[("1", "x", ("y",)), ("2", "z", ("w",))]] * 3


def test_rows_come_from_a_house_folder_with_the_members_own_metrics(harbour: Path, tmp_path: Path) -> None:
    folder = tmp_path / "house" / "pilot"
    folder.mkdir(parents=True)
    for name in ("train", "dev", "test"):
        rows = [{"id": f"{name}-{n}", "input": f"{name} {n}", "targets": ["y"]} for n in range(5)]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    suite = load_suite(harbour, '[[data]]\nhouse = "house"\nmembers = ["pilot"]\nlimit = 3\n')
    assert [case.id for case in suite.cases] == ["pilot-1", "pilot-2", "pilot-3"]
    assert suite.cases[0].part.metrics == ("chrf", "copy_rate")
    assert all(case.row.request.startswith("test ") for case in suite.cases)


def test_judges_need_no_references(harbour: Path, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"id": "a", "request": "x"}\n')
    suite = load_suite(
        harbour, '[[data]]\nfile = "r.jsonl"\nmetrics = ["kind"]\n[judges.kind]\nquestion = "Is the answer kind?"\n'
    )
    assert suite.cases[0].row.replies == ()
