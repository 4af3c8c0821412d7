"""Suites for the three of the harbour, and evaluations of them without a model."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from consilium import Council, Evaluation, Grade, ScriptedEngine, Suite
from consilium.engines.protocol import Prompt
from consilium.engines.scripted import Reply
from consilium.members.catalogue import Catalogue
from tests.support.council import FirstSeats

TITLE = 'title = "A test"\n'
ROWS = """
[[data]]
name = "boats"
metrics = ["exact_match", "chrf"]
rows = [
    {id = "a", request = "one", references = ["aye one"]},
    {id = "b", request = "two", references = ["aye two"]},
    {id = "c", request = "three", references = ["nay three"]},
]
"""
"""The pilot is right on the first two, the mate on the last."""


def said(prompt: Prompt) -> str:
    """Return what the three of the harbour say: the pilot yes, the mate no, the clerk nothing of use."""
    word = {"pilot": "aye", "mate": "nay"}.get(prompt.member, "eh")
    return f"{word} {prompt.messages[-1].content}"


def write_suite(folder: Path, text: str = ROWS, name: str = "a.suite.toml") -> Path:
    """Write a suite's file, with a title where it has none."""
    path = folder / name
    path.write_text(text if "title" in text else TITLE + text, encoding="utf-8")
    return path


def load_suite(personas: Path, text: str = ROWS) -> Suite:
    """Write a suite beside the harbour's members, and load it."""
    return Suite.load(write_suite(personas.parent, text), catalogue=Catalogue.load(personas))


def open_suite(
    suite: Suite, *, replies: Mapping[str, Reply] | None = None, engine: ScriptedEngine | None = None
) -> Council:
    """Open a council of the harbour for a suite: the pilot sits first, then the mate."""
    scripted = {**dict.fromkeys(("pilot", "mate", "clerk"), said), **(replies or {})}
    return suite.open(
        engine=engine or ScriptedEngine(scripted), router=FirstSeats(suite.catalogue), personas=suite.catalogue.root
    )


async def graded(evaluation: Evaluation, council: Council) -> dict[tuple[str, str], Grade]:
    """Run an evaluation to its end, and return the grades by arm and case."""
    return {(grade.arm, grade.case): grade async for grade in evaluation.run(council)}


def many_rows(count: int) -> str:
    """Return so many rows; the pilot is right on two of three."""
    rows = [
        f'{{id = "{n}", request = "boat {n}", references = ["{"nay" if n % 3 == 0 else "aye"} boat {n}"]}},'
        for n in range(count)
    ]
    return '[[data]]\nname = "boats"\nmetrics = ["exact_match"]\nrows = [\n' + "\n".join(rows) + "\n]\n"


async def main(folder: Path) -> None:
    """Evaluate the suite in a folder, noting for good in ``paid.txt`` who was asked what."""
    handle = os.open(folder / "paid.txt", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def paying(prompt: Prompt) -> str:
        os.write(handle, f"{prompt.member} {prompt.seed} {prompt.messages[-1].content}\n".encode())
        return said(prompt)

    suite = Suite.load(folder / "a.suite.toml", catalogue=Catalogue.load(folder / "personas"))
    engine = ScriptedEngine(dict.fromkeys(("pilot", "mate", "clerk"), paying), token_s=0.0005)
    async for _ in Evaluation(suite, folder / "out", at_once=8).run(open_suite(suite, engine=engine)):
        pass


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
