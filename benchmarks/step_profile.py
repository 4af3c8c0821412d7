"""Where a step's milliseconds go: PEFT's mixed batch, and the embedded engine, eight different adapters each.

usage: python benchmarks/step_profile.py [--tokens 24] [--prompt-tokens 64]

Both speak the same eight rows under torch's profiler; time spent reading the prompts is taken off by profiling a
statement of one token as well. What neither is in an operator of torch is Python and dispatch. Prints milliseconds a
step, by kind of operator; the last line is JSON.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable

import torch
from crew import crew
from mixed_batch import Ours, spoken

from consilium.members.base import BUILT_IN, open_base
from consilium.settings import Settings
from consilium.testing.peft import peft_model

ROWS = 8
KINDS = {
    "weights": ("aten::mm", "aten::addmm", "aten::linear", "quantized::linear_dynamic_fp16"),
    "adapters": ("aten::bmm", "aten::baddbmm_"),
    "attention": ("aten::_scaled_dot_product_flash_attention_for_cpu", "aten::_scaled_dot_product_attention_math"),
    "memory": (
        "aten::copy_",
        "aten::fill_",
        "aten::cat",
        "aten::index",
        "aten::_index_put_impl_",
        "aten::index_select",
    ),
}
"""Operators by kind. PEFT's adapters are plain products too: what they take is in ``weights``."""


def profiled(speak: Callable[[], object]) -> dict[str, float]:
    """Return milliseconds by kind of operator; ``all`` is the time by the clock without the profiler."""
    started = time.perf_counter()
    speak()
    passed = (time.perf_counter() - started) * 1_000
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        speak()
    kinds = {name: kind for kind, names in KINDS.items() for name in names}
    found = defaultdict(float, all=passed)
    for operator in profile.key_averages():
        found[kinds.get(operator.key, "other operators")] += operator.self_cpu_time_total / 1_000
    return found


def step(speak: Callable[[int], object], tokens: int) -> dict[str, float]:
    """Return milliseconds a step by kind, the prompts' share taken off."""
    speak(2)  # warms up
    one, many = profiled(lambda: speak(1)), profiled(lambda: speak(tokens))
    found = {kind: (many[kind] - one[kind]) / (tokens - 1) for kind in many}
    found["Python and dispatch"] = max(0.0, found["all"] - sum(ms for kind, ms in found.items() if kind != "all"))
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--prompt-tokens", type=int, default=64)
    arguments = parser.parse_args()
    base, members = open_base(BUILT_IN, cache=Settings.load().cache_dir), crew(ROWS)
    ids = torch.randint(1_000, 40_000, (ROWS, arguments.prompt_tokens), generator=torch.Generator().manual_seed(0))
    names = [member.content_name for member in members]
    mixed, ours = peft_model(base, members), Ours(base)
    found = {
        "peft": step(lambda tokens: spoken(mixed, ids, tokens, adapter_names=names), arguments.tokens),
        "consilium": step(lambda tokens: ours.speak(ids, tokens, members), arguments.tokens),
    }
    kinds = [*KINDS, "other operators", "Python and dispatch", "all"]
    for kind in kinds:
        print(f"{kind:<20} " + "   ".join(f"{name} {found[name].get(kind, 0.0):7.1f}" for name in found))
    print(json.dumps({name: {kind: round(ms, 2) for kind, ms in figures.items()} for name, figures in found.items()}))


if __name__ == "__main__":
    main()
