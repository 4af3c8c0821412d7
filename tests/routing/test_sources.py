"""Requests from elsewhere, on invented files of the same form, and on the real ones where they are at hand."""

import re
from pathlib import Path

import pytest

from consilium.errors import BadRows
from consilium.evaluation.unseen import unseen_rows
from consilium.routing.sources import P3, open_work, sources, unlabelled
from consilium.training.held_out import held_out
from tests.support.data import SHARED
from tests.support.sources import RIDDLES, known_set, new_riddle, write, write_sources

REAL = SHARED / "router"


def test_each_set_says_who_should_sit(tmp_path: Path) -> None:
    template = next(iter(P3))
    write_sources(tmp_path)
    found = sources(tmp_path, "clerk")
    assert {name: [(each.message, each.member) for each in examples] for name, examples in found.items()} == {
        "clinc150/travel": [("book a berth", "dispatcher")],
        "clinc150/small_talk": [("who are you", "clerk")],
        "clinc150/oos": [("why is rain wet", "clerk")],
        "sgd": [("USER ['INFORM_INTENT']", "dispatcher")],
        f"p3/{template}": [("Is it?", P3[template])],
        "truthfulqa": [("Is rain wet?", "clerk")],
    }


def test_open_work_is_what_nobody_was_trained_for_and_none_of_it_is_tried(tmp_path: Path) -> None:
    write_sources(tmp_path)
    assert {name: [(row.request, row.replies) for row in rows] for name, rows in open_work(tmp_path).items()} == {
        "bbh": [(f"How many {task}?", ("2",)) for task in RIDDLES if task != new_riddle()],
        f"p3/{known_set()}": [("Where is the boat?", ("here",))],
        "self-instruct": [("Name it.", ("A skiff.",))],
        "mt-bench": [("What is a knot?", ())],
        "mmlu": [(f"Which is boat {number}?", ()) for number in range(0, 600, 2)],
    }


def test_what_might_be_anybodys_is_none_of_what_is_known_to_be_somebodys(tmp_path: Path) -> None:
    write_sources(tmp_path)
    found = unlabelled(tmp_path)
    assert found == ["USER ['AFFIRM']", *(f"Which is boat {number}?" for number in range(1, 600, 2))]
    known = {each.message for examples in sources(tmp_path, "clerk").values() for each in examples}
    known |= {row.request for rows in open_work(tmp_path).values() for row in rows}
    assert not known & set(found)


def test_a_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRows, match=r"test\.jsonl cannot be read"):
        sources(tmp_path, "clerk")


@pytest.mark.parametrize(
    ("file", "line", "field"),
    [
        ("clinc150/test.jsonl", {"text": "book a berth"}, "domain"),
        ("sgd/dialogues.jsonl", {"turns": [{"speaker": "USER", "acts": []}]}, "turns.0.utterance"),
        ("p3_sample/p3_ood.jsonl", {"template": "x", "prompt": 3, "completion": "y"}, "prompt"),
        ("self_instruct/user_oriented_instructions.jsonl", {"instruction": "x", "instances": []}, "instances"),
        ("mt_bench/vicuna_question.jsonl", {"turns": []}, "turns"),
        ("routellm_mmlu/mmlu_router.jsonl", {}, "prompt"),
        ("truthfulqa/truthfulqa.jsonl", {"question": "x"}, "Question"),
    ],
)
def test_a_line_that_is_none_of_its_sets_is_named(
    file: str, line: dict[str, object], field: str, tmp_path: Path
) -> None:
    write_sources(tmp_path)
    write(tmp_path / file, line)
    with pytest.raises(BadRows, match=re.escape(f"{file} line 1: {field}: ")):
        [sources(tmp_path, "clerk"), unlabelled(tmp_path), open_work(tmp_path)]


def test_a_third_is_held_out_whatever_the_order() -> None:
    names = [f"source {number}" for number in range(18)]
    assert len(held_out(names)) == 6
    assert held_out(reversed(names)) == held_out(names) < set(names)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the sets are not at {REAL}")
def test_the_real_sets_hold_every_source() -> None:
    found = sources(REAL, "base")
    assert len(found) == 19
    assert all(len(examples) >= 60 for examples in found.values())
    assert {example.member for examples in found.values() for example in examples} == {
        "base",
        "copywriter",
        "dispatcher",
        "librarian",
        "logician",
    }


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the sets are not at {REAL}")
def test_no_real_open_work_is_tried_as_unseen() -> None:
    known = [row for rows in open_work(REAL).values() for row in rows]
    assert len(known) > 700
    tried = [row for rows in unseen_rows(REAL, 10**6).values() for row in rows]
    assert not {row.request for row in known} & {row.request for row in tried}
