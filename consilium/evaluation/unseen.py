"""Work that no member was trained for: rows of public sets, each with a reference, to tell by how likely it is.

Out of the sets of `consilium.training.public_sets`: MT-Bench, Self-Instruct, and a third of the tasks of BIG-Bench Hard
and P3, on which no router is fitted. Sets without references, such as MMLU's record of who was right, tell no
likelihood and are not read.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

from consilium.errors import BadRows
from consilium.training import public_sets
from consilium.training.held_out import OPEN_P3, held_out, riddle_of
from consilium.training.public_sets import Instruction, Prompt, Question, Riddle, entries
from consilium.training.rows import Row

MOST_CHARACTERS = 2_000
"""Of a request or a reference; longer ones cost minutes and tell nothing more."""


def unseen_rows(folder: Path, count: int, *, seed: int = 0) -> dict[str, list[Row]]:
    """Return at most ``count`` rows of each set.

    Raises:
        BadRows: a set is not there, cannot be read, or has no rows.
    """
    sets = {
        "bbh": _tasks(folder / public_sets.BBH),
        "p3": _prompts(folder / public_sets.P3),
        "mt-bench": _first_turns(folder / public_sets.MT_BENCH),
        "self-instruct": _instructions(folder / public_sets.SEED_INSTRUCTIONS),
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
    riddles = list(entries(path, Riddle))
    held = held_out({riddle_of(riddle.task) for _, riddle in riddles})
    for number, riddle in riddles:
        if riddle_of(riddle.task) in held:
            yield _row(path, number, riddle.input, riddle.target)


def _prompts(path: Path) -> Iterator[Row]:
    held = tuple(held_out(OPEN_P3))
    for number, row in entries(path, Prompt):
        if row.template.startswith(held):
            yield _row(path, number, row.prompt, row.completion)


def _first_turns(path: Path) -> Iterator[Row]:
    """Yield the questions that have a reference; some have an empty one."""
    for number, question in entries(path, Question):
        if reference := next(iter(question.reference or ()), ""):
            yield _row(path, number, question.turns[0], reference)


def _instructions(path: Path) -> Iterator[Row]:
    for number, instruction in entries(path, Instruction):
        yield _row(path, number, instruction.request, instruction.reply)


def _row(path: Path, number: int, request: str, reply: str) -> Row:
    if not (request.strip() and reply.strip()):
        raise BadRows(f"{path} line {number}: request {request!r:.40}, reply {reply!r:.40}. Each row needs both.")
    return Row(request=request.strip(), replies=(reply.strip(),), origin=f"{path} line {number}")
