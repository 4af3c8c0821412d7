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
