"""How long it takes to draw the next token of rows that speak at a temperature, and how long `torch.multinomial` takes.

usage: python benchmarks/drawing.py [--rows 1 8 32]

Invented logits over the base's vocabulary, two threads; the two alternate, milliseconds a step in the median. *over*:
the one over the other. Last line JSON.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
from tokenizers import Tokenizer

from consilium.engines.embedded.drawing import draw
from consilium.engines.embedded.row import Row
from consilium.engines.protocol import Message, Prompt
from consilium.evaluation.markdown import table
from consilium.members.base import BUILT_IN, open_base
from consilium.members.persona import SamplingDefaults
from consilium.settings import Settings

ROUNDS = 15
TEMPERATURE = 0.7


def main() -> None:
    """Draw both ways, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 32])
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    base = open_base(BUILT_IN, cache=Settings.load().cache_dir)
    tokenizer = Tokenizer.from_file(str(base.path / "tokenizer.json"))
    found = {count: measured(count, tokenizer) for count in arguments.rows}
    lines = [
        [str(count), f"{ours:.1f}", f"{theirs:.1f}", f"{ours / theirs:.2f}"] for count, (ours, theirs) in found.items()
    ]
    print(table(["rows", "embedded engine, ms", "torch.multinomial, ms", "over"], lines))
    print(json.dumps({"over": {count: round(ours / theirs, 3) for count, (ours, theirs) in found.items()}}))


def measured(count: int, tokenizer: Tokenizer) -> tuple[float, float]:
    """Return the milliseconds of a step for so many rows: the engine's, and those with `torch.multinomial`."""
    logits = 3 * torch.randn(count, tokenizer.get_vocab_size())
    rows = [row_of(number, tokenizer) for number in range(count)]
    ways: Sequence[Callable[[], object]] = (
        lambda: draw(logits.clone(), rows, frozenset()),
        lambda: multinomial(logits.clone(), rows),
    )
    taken: tuple[list[float], ...] = ([], [])
    for _ in range(ROUNDS):
        for way, times in zip(ways, taken, strict=True):
            started = time.perf_counter()
            way()
            times.append(1e3 * (time.perf_counter() - started))
    ours, theirs = map(median, taken)
    return ours, theirs


def multinomial(logits: torch.Tensor, rows: Sequence[Row]) -> list[int]:
    """Return a token for each row, drawn by `torch.multinomial`."""
    weights = (logits / TEMPERATURE).softmax(-1)
    return [int(torch.multinomial(each, 1, generator=row.generator)) for each, row in zip(weights, rows, strict=True)]


def row_of(number: int, tokenizer: Tokenizer) -> Row:
    """Return a row that can draw."""
    sampling = SamplingDefaults(max_tokens=4_096, temperature=TEMPERATURE)
    asked = Prompt(member="", messages=(Message(role="user", content="?"),), sampling=sampling, seed=number)
    row = Row(asked, "", [0], lambda _piece: None)
    row.bind(tokenizer)
    return row


if __name__ == "__main__":
    main()
