"""Invented sets of requests from elsewhere, in the form of the real ones."""

import json
from pathlib import Path

from consilium.routing.sources import P3
from consilium.training.held_out import OPEN_P3, held_out


def write(path: Path, *rows: dict[str, object]) -> None:
    """Write a JSONL file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


RIDDLES = ("knots", "oars", "ropes")


def new_riddle() -> str:
    """Return the kind of riddle that is kept to try."""
    return next(iter(held_out(RIDDLES)))


def known_set() -> str:
    """Return one of P3's open sets that routers may know."""
    return next(name for name in OPEN_P3 if name not in held_out(OPEN_P3))


def new_set() -> str:
    """Return one that is kept to try."""
    return next(iter(held_out(OPEN_P3)))


def write_sources(folder: Path) -> None:
    """Write a row or two of each set."""
    template = next(iter(P3))
    write(
        folder / "clinc150" / "test.jsonl",
        {"text": "book a berth", "intent": "x", "domain": "travel"},
        {"text": "who are you", "intent": "y", "domain": "small_talk"},
    )
    write(folder / "clinc150" / "oos_train.jsonl", {"text": "why is rain wet", "intent": "oos", "domain": "oos"})
    write(folder / "clinc150" / "oos_val.jsonl")
    said = [("USER", ["INFORM_INTENT"]), ("SYSTEM", ["INFORM_INTENT"]), ("USER", ["AFFIRM"])]
    turns = [{"speaker": who, "acts": acts, "utterance": f"{who} {acts}"} for who, acts in said]
    write(folder / "sgd" / "dialogues.jsonl", {"turns": turns})
    prompts = [
        {"template": template, "prompt": " Is it? ", "completion": "no"},
        {"template": "other", "prompt": "x", "completion": "y"},
        {"template": f"{known_set()}_x", "prompt": " Where is the boat? ", "completion": "here"},
        {"template": f"{new_set()}_x", "prompt": "Which is faster?", "completion": "the skiff"},
    ]
    write(folder / "p3_sample" / "p3_ood.jsonl", *prompts)
    write(folder / "bbh.jsonl", *({"task": task, "input": f"How many {task}?", "target": "2"} for task in RIDDLES))
    write(folder / "truthfulqa" / "truthfulqa.jsonl", {"Question": "Is rain wet?"})
    task = {"instruction": "Name it.", "instances": [{"input": "", "output": "A skiff."}]}
    write(folder / "self_instruct" / "user_oriented_instructions.jsonl", task)
    write(folder / "mt_bench" / "question.jsonl", {"turns": ["Draw it.", "Again."]})
    write(folder / "mt_bench" / "vicuna_question.jsonl", {"turns": ["What is a knot?"]}, {"turns": ["Draw it."]})
    write(folder / "routellm_mmlu" / "mmlu_router.jsonl", *({"prompt": f"Which is boat {n}?"} for n in range(600)))


def write_unseen(folder: Path) -> None:
    """Write a few rows of each set of work that no member is trained for; one of them is far too long."""
    riddles = [
        {"task": task, "input": f"How many {task} in {n}?", "target": str(n)} for task in RIDDLES for n in range(5)
    ]
    write(folder / "bbh.jsonl", *riddles, {"task": new_riddle(), "input": "long " * 500, "target": "1"})
    write(
        folder / "p3_sample" / "p3_ood.jsonl",
        {"template": f"{new_set()}_x", "prompt": "Which is faster?", "completion": "the skiff"},
        {"template": f"{known_set()}_x", "prompt": "Where is the boat?", "completion": "here"},
        {"template": next(iter(P3)), "prompt": "Does it follow?", "completion": "yes"},
    )
    write(
        folder / "mt_bench" / "question.jsonl",
        {"turns": ["Count the boats.", "Again."], "reference": ["Three.", "Still three."]},
        {"turns": ["Write of the sea."]},
        {"turns": ["Draw the sea."], "reference": [""]},
    )
    instance = {"input": "It is small.", "output": "A dinghy."}
    write(folder / "self_instruct" / "seed_tasks.jsonl", {"instruction": "Name the boat.", "instances": [instance]})
