"""Invented sets of requests from elsewhere, in the form of the real ones."""

import json
from pathlib import Path

from consilium.routing.sources import P3


def write(path: Path, *rows: dict[str, object]) -> None:
    """Write a JSONL file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


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
    prompts = [{"template": template, "prompt": " Is it? "}, {"template": "other", "prompt": "x"}]
    write(folder / "p3_sample" / "p3_ood.jsonl", *prompts)
    write(folder / "truthfulqa" / "truthfulqa.jsonl", {"Question": "Is rain wet?"})
    task = {"instruction": "Name it.", "instances": [{"input": "", "output": "A skiff."}]}
    write(folder / "self_instruct" / "user_oriented_instructions.jsonl", task)
    write(folder / "mt_bench" / "vicuna_question.jsonl", {"turns": ["What is a knot?"]})
    write(folder / "routellm_mmlu" / "mmlu_router.jsonl", {"prompt": "Which is a boat?"})


def write_unseen(folder: Path) -> None:
    """Write a few rows of each set of work that no member is trained for; one of them is far too long."""
    riddles: list[dict[str, object]] = [{"task": "t", "input": f"How many in {n}?", "target": str(n)} for n in range(5)]
    write(folder / "bbh.jsonl", *riddles, {"task": "t", "input": "long " * 500, "target": "1"})
    write(
        folder / "p3_sample" / "p3_ood.jsonl",
        {"template": "quarel_x", "prompt": "Which is faster?", "completion": "the skiff"},
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
