"""Requests from elsewhere, on invented files of the same form, and on the real ones where they are at hand."""

import json
from pathlib import Path

import pytest

from consilium.errors import BadRows
from consilium.routing.sources import P3, held_out, sources
from tests.support.data import SHARED

REAL = SHARED / "router"


def write(path: Path, *rows: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_each_set_says_who_should_sit(tmp_path: Path) -> None:
    template = next(iter(P3))
    write(
        tmp_path / "clinc150" / "test.jsonl",
        {"text": "book a berth", "intent": "x", "domain": "travel"},
        {"text": "who are you", "intent": "y", "domain": "small_talk"},
    )
    write(tmp_path / "clinc150" / "oos_train.jsonl", {"text": "why is rain wet", "intent": "oos", "domain": "oos"})
    write(tmp_path / "clinc150" / "oos_val.jsonl")
    said = [("USER", ["INFORM_INTENT"]), ("SYSTEM", ["INFORM_INTENT"]), ("USER", ["AFFIRM"])]
    turns = [{"speaker": who, "acts": acts, "utterance": f"{who} {acts}"} for who, acts in said]
    write(tmp_path / "sgd" / "dialogues.jsonl", {"turns": turns})
    prompts = [{"template": template, "prompt": " Is it? "}, {"template": "other", "prompt": "x"}]
    write(tmp_path / "p3_sample" / "p3_ood.jsonl", *prompts)
    write(tmp_path / "truthfulqa" / "truthfulqa.jsonl", {"Question": "Is rain wet?"})
    found = sources(tmp_path, "clerk")
    assert {name: [(each.message, each.member) for each in examples] for name, examples in found.items()} == {
        "clinc150/travel": [("book a berth", "dispatcher")],
        "clinc150/small_talk": [("who are you", "clerk")],
        "clinc150/oos": [("why is rain wet", "clerk")],
        "sgd": [("USER ['INFORM_INTENT']", "dispatcher")],
        f"p3/{template}": [("Is it?", P3[template])],
        "truthfulqa": [("Is rain wet?", "clerk")],
    }


def test_a_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRows, match=r"test\.jsonl cannot be read"):
        sources(tmp_path, "clerk")


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
