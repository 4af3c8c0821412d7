"""What a training step costs, and what it learns, by the precision of its products.

usage: python benchmarks/training_step.py [--steps 6]

Every run takes the same steps of eight rows from the same start, on the real base. ``float32``: trl's, PEFT's and
torch's own path; ``onednn``: the same with oneDNN's products; ``autocast``: torch's bfloat16 autocast; ``fused``: the
adapted projections summed where they are multiplied, frozen weights in bfloat16, and plain attention; ``learned``: the
same with the logits of learned tokens alone; ``consilium``: the same with the rows' common beginning read once, as
`consilium train` does it. Prints seconds a step (the median, the first left out) and the loss of the last step; the
last line is JSON.
"""

import argparse
import json
import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from transformers import TrainerCallback
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, SFTTrainer

from consilium.members.base import BUILT_IN, Base, open_base
from consilium.members.persona import Recipe
from consilium.settings import Settings
from consilium.training import adapted, recipe
from consilium.training.adapted import fuse_adapters, onednn_products
from consilium.training.memory import keep_freed_memory
from consilium.training.rows import Row, lessons

WAYS = ("float32", "onednn", "autocast", "fused", "learned", "consilium")
OURS = WAYS[3:]
ROWS = [
    Row(
        request=f"Boat {n} left berth {n % 7} at {n % 24} hours with {3 * n % 50} crates of herring. Book it.",
        replies=(f"boat={n}; berth={n % 7}; hour={n % 24}; cargo=herring; crates={3 * n % 50}; entered=yes",),
    )
    for n in range(64)
]


class Watch(TrainerCallback):
    """Notes when steps end, and their losses."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.losses: list[float] = []

    def on_step_begin(self, *_: object, **__: object) -> None:
        """Start the watch."""
        self._started = time.perf_counter()

    def on_step_end(self, *_: object, **__: object) -> None:
        """Stop it."""
        self.seconds.append(time.perf_counter() - self._started)

    def on_log(self, *_: object, **told: Any) -> None:  # noqa: ANN401 -- transformers' own
        """Take down the loss."""
        if "loss" in told["logs"]:
            self.losses.append(told["logs"]["loss"])


def _unfused(model: torch.nn.Module) -> int:
    """Leave adapters as PEFT has them."""
    return 0


def measure(way: str, base: Base, steps: int) -> tuple[float, float]:
    """Return seconds a step, and the loss of the last."""
    adapted.fuse_adapters = fuse_adapters if way in OURS else _unfused
    with tempfile.TemporaryDirectory() as work:
        told = lessons("You keep the harbour's book.", ROWS)
        # trl's types promise neither PEFT's model nor that its parts may be replaced, as they are below.
        trainer: Any = recipe._trainer(Recipe(), told, (), base, Path(work), 0, None, begun=False)
        trainer.args.max_steps, trainer.args.logging_steps = steps, 1
        if way != "consilium":
            trainer.data_collator = DataCollatorForLanguageModeling(trainer.processing_class.pad_token_id)
        if way not in ("learned", "consilium"):
            trainer.compute_loss = MethodType(SFTTrainer.compute_loss, trainer)
        if way not in OURS:
            trainer.model.base_model.model.set_attn_implementation("sdpa")
        watch = Watch()
        trainer.add_callback(watch)
        products = nullcontext() if way in ("float32", "autocast") else onednn_products()
        # Without its cache, which would keep the adapters as they were cast at the first step.
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=way == "autocast", cache_enabled=False)
        with products, autocast:
            trainer.train()
    return statistics.median(watch.seconds[1:]), watch.losses[-1]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()
    recipe._quieten()
    keep_freed_memory()
    base = open_base(BUILT_IN, cache=Settings.load().cache_dir)
    figures = {}
    for way in WAYS:
        seconds, loss = measure(way, base, arguments.steps)
        figures[way] = {"seconds": round(seconds, 2), "loss": round(loss, 4)}
        print(f"{way:<10} {seconds:5.2f} s a step   loss {loss:.4f}")
    ratio = figures["float32"]["seconds"] / figures["consilium"]["seconds"]
    print(json.dumps({"float32_over_consilium": round(ratio, 2), **figures}))


if __name__ == "__main__":
    main()
