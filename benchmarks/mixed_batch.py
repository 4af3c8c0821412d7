"""Different adapters in one batch: the embedded engine against transformers' bare base and against PEFT's mixed batch.

usage: python benchmarks/mixed_batch.py [--tokens 48] [--prompt-tokens 64] [--repeats 3]

All three speak the same rows to the end: --prompt-tokens random tokens of prompt and exactly --tokens tokens, greedily,
in float32. Adapters are the four trained ones and four made from them by adding noise, rank 8 on all seven projections.
transformers and PEFT run their own ``generate``; they and the engine alternate, so that a busy machine slows all.
``step_over_memory_limit`` is one step of the engine at eight rows over the time that reading the base's float32
weights once would take at the bandwidth measured in the same run. ``same_tokens`` is the share of statements in which
the engine and PEFT agree to the last token. Prints medians, tokens a second; the last line is JSON.
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from crew import crew

from consilium.engines.embedded.model import Model
from consilium.engines.embedded.row import Row
from consilium.engines.protocol import Prompt
from consilium.engines.tokens import Tokens
from consilium.members.base import BUILT_IN, Base, open_base
from consilium.members.catalogue import Member
from consilium.members.persona import SamplingDefaults
from consilium.settings import Settings
from consilium.testing.peft import peft_model

SIZES = (1, 3, 8)


def spoken(model: torch.nn.Module, ids: torch.Tensor, tokens: int, **how: object) -> list[list[int]]:
    """Return what transformers' ``generate`` says."""
    generate: Any = model.generate  # which nn.Module does not promise
    with torch.inference_mode():
        said: torch.Tensor = generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False,
            min_new_tokens=tokens, max_new_tokens=tokens, **how,
        )  # fmt: skip
    new: list[list[int]] = said[:, ids.shape[1] :].tolist()
    return new


class Ours:
    """The embedded engine's model, without thread and text."""

    def __init__(self, base: Base) -> None:
        self._model = Model(base)
        self._tokenizer = Tokens(base).backend
        self.steps_ms: list[float] = []

    def load(self, member: Member) -> None:
        """Keep a member's matrices in memory."""
        self._model.load(member)

    def speak(self, ids: torch.Tensor, tokens: int, members: list[Member]) -> list[list[int]]:
        """Return what the members say; the milliseconds of steps without prompts go to ``steps_ms``."""
        sampling = SamplingDefaults(min_tokens=tokens, max_tokens=tokens)
        rows = []
        for prompt_ids, member in zip(ids.tolist(), members, strict=True):
            row = Row(Prompt(member=member.name, messages=(), sampling=sampling), member.content_name, prompt_ids, id)
            row.bind(self._tokenizer)
            self._model.add(row, member)
            rows.append(row)
        self.steps_ms = []
        while self._model.rows:
            reading = any(row.known < len(row.token_ids) for row in rows)
            started = time.perf_counter()
            self._model.step()
            if not reading and not all(row.done for row in rows):
                self.steps_ms.append((time.perf_counter() - started) * 1_000)
        return [row.drawn for row in rows]


def bandwidth() -> float:
    """Return the bytes a second at which this machine reads float32 numbers that lie in no cache."""
    numbers = torch.ones(134_479_296)
    spans = []
    for _ in range(5):
        started = time.perf_counter()
        numbers.sum()
        spans.append(time.perf_counter() - started)
    return numbers.nbytes / statistics.median(spans)


def measure(arguments: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Yield figures by name: tokens a second, and what goes with them."""
    base = open_base(BUILT_IN, cache=Settings.load().cache_dir)
    members = crew(max(SIZES))
    from transformers import AutoModelForCausalLM

    bare = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32).eval()
    mixed = peft_model(base, members)
    ours = Ours(base)
    weights = sum(parameter.nbytes for parameter in bare.parameters())
    generator = torch.Generator().manual_seed(0)
    for repeat in range(arguments.repeats + 1):
        for size in SIZES:
            ids = torch.randint(1_000, 40_000, (size, arguments.prompt_tokens), generator=generator)
            names = [member.content_name for member in members[:size]]
            rivals: dict[str, Callable[[], list[list[int]]]] = {
                "base": partial(spoken, bare, ids, arguments.tokens),
                "peft": partial(spoken, mixed, ids, arguments.tokens, adapter_names=names),
                "mixed": partial(ours.speak, ids, arguments.tokens, members[:size]),
            }
            said = {}
            for name, speak in rivals.items():
                started = time.perf_counter()
                said[name] = speak()
                if repeat:  # the first round warms up
                    yield f"{name}{size}", size * arguments.tokens / (time.perf_counter() - started)
            if repeat:
                for one, other in zip(said["mixed"], said["peft"], strict=True):
                    yield "same_tokens", float(one == other)
                yield f"step{size}_ms", statistics.median(ours.steps_ms)
        if repeat:
            yield "limit_ms", weights / bandwidth() * 1_000


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    found: dict[str, list[float]] = defaultdict(list)
    for name, figure in measure(parser.parse_args()):
        found[name].append(figure)
    same = statistics.mean(found.pop("same_tokens"))
    figures = {name: statistics.median(values) for name, values in sorted(found.items())}
    for name, figure in figures.items():
        print(f"{name:<10} {figure:8.1f}")
    ratios = {
        f"{one}_over_{other}": figures[one] / figures[other]
        for one, other in (
            ("mixed1", "base1"), ("mixed3", "base3"), ("mixed8", "base8"), ("mixed3", "peft3"), ("mixed8", "peft8")
        )
    }  # fmt: skip
    ratios["step_over_memory_limit"] = figures["step8_ms"] / figures["limit_ms"]
    print(json.dumps({**ratios, "same_tokens": same, **figures}, default=float))


if __name__ == "__main__":
    main()
