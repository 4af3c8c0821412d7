"""Work that no member was trained for: rows of public sets, each with a reference, to tell by how likely it is.

Reads a folder that holds the sets under their own names and in their own fields: ``bbh.jsonl`` (MIT) and
``p3_sample`` (Apache-2.0), of both a third of the tasks, on which no router is fitted; ``mt_bench`` and
``self_instruct`` (Apache-2.0). Sets without references, such as MMLU's
record of who was right, tell no likelihood and are not read.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

from consilium.errors import BadRows
from consilium.training.held_out import OPEN_P3, held_out, riddle_of
from consilium.training.rows import Row, read_jsonl

MOST_CHARACTERS = 2_000
"""Of a request or a reference; longer ones cost minutes and tell nothing more."""


def unseen_rows(folder: Path, count: int, *, seed: int = 0) -> dict[str, list[Row]]:
    """Return at most ``count`` rows of each set.

    Raises:
        BadRows: a set is not there, cannot be read, or has no rows.
    """
    sets = {
        "bbh": _tasks(folder / "bbh.jsonl"),
        "p3": _prompts(folder / "p3_sample" / "p3_ood.jsonl"),
        "mt-bench": _first_turns(folder / "mt_bench" / "question.jsonl"),
        "self-instruct": _instructions(folder / "self_instruct" / "seed_tasks.jsonl"),
    }
    chance = Random(seed)
    found = {}
    for name, rows in sets.items():
        short = [row for row in rows if max(len(row.request), len(row.replies[0])) <= MOST_CHARACTERS]
        if not short:
            raise BadRows(f"{folder} holds no rows of {name}. Name a folder that does.")
        found[name] = chance.sample(short, min(count, len(short)))
    return found


def _tasks(path: Path) -> Iterator[Row]:
    entries = list(read_jsonl(path))
    held = held_out({riddle_of(entry["task"]) for _, entry in entries})
    for number, entry in entries:
        if riddle_of(entry["task"]) in held:
            yield _row(path, number, entry.get("input"), entry.get("target"))


def _prompts(path: Path) -> Iterator[Row]:
    held = tuple(held_out(OPEN_P3))
    for number, entry in read_jsonl(path):
        if entry["template"].startswith(held):
            yield _row(path, number, entry.get("prompt"), entry.get("completion"))


def _first_turns(path: Path) -> Iterator[Row]:
    """Yield the questions that have a reference; some have an empty one."""
    for number, entry in read_jsonl(path):
        if reference := next(iter(entry.get("reference") or ()), ""):
            yield _row(path, number, entry["turns"][0], reference)


def _instructions(path: Path) -> Iterator[Row]:
    for number, entry in read_jsonl(path):
        instance = entry["instances"][0]
        yield _row(path, number, f"{entry['instruction']}\n\n{instance['input']}".strip(), instance["output"])


def _row(path: Path, number: int, request: object, reply: object) -> Row:
    if not (isinstance(request, str) and isinstance(reply, str) and request.strip() and reply.strip()):
        raise BadRows(f"{path} line {number}: request {request!r:.40}, reply {reply!r:.40}. Each row needs both.")
    return Row(request=request.strip(), replies=(reply.strip(),), origin=f"{path} line {number}")
