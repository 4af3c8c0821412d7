"""The base's products alone, by kernel: all projections of SmolLM2-135M's 30 layers, at several numbers of rows.

usage: python benchmarks/products.py [--rows 1 3 8 32 128 320]

Random weights of the base's shapes, which fit in no cache together: MKL in float32 (``F.linear``), oneDNN in float32,
FBGEMM with weights packed in half precision (what the embedded engine uses), and bfloat16. Prints milliseconds, the
least of seven; the last line is JSON.
"""

import argparse
import json
import time
from collections.abc import Callable

import torch
from torch.nn.functional import linear

LAYERS = 30
SHAPES = ((576, 960), (576, 576), (576, 3072), (1536, 576))
"""Inputs and outputs: queries, keys and values; attention's output; gate and up; down."""


def least_ms(run: Callable[[], object], times: int = 7) -> float:
    """Return the least of several durations, in milliseconds."""
    run()
    spans = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        spans.append(time.perf_counter() - started)
    return min(spans) * 1_000


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 3, 8, 32, 128, 320])
    arguments = parser.parse_args()
    weights = [torch.randn(outputs, inputs) * 0.02 for _ in range(LAYERS) for inputs, outputs in SHAPES]
    packed = [torch.ops.quantized.linear_prepack_fp16(weight, None) for weight in weights]
    halves = [weight.bfloat16() for weight in weights]

    def kernels(rows: int) -> dict[str, Callable[[], object]]:
        xs = {inputs: torch.randn(rows, inputs) for inputs, _ in SHAPES}
        small = {inputs: x.bfloat16() for inputs, x in xs.items()}
        return {
            "mkl": lambda: [linear(xs[w.shape[1]], w) for w in weights],
            "onednn": lambda: [
                torch.ops.mkldnn._linear_pointwise(xs[w.shape[1]], w, None, "none", [], "") for w in weights
            ],
            "fbgemm_fp16": lambda: [
                torch.ops.quantized.linear_dynamic_fp16(xs[w.shape[1]], p) for w, p in zip(weights, packed, strict=True)
            ],
            "bfloat16": lambda: [linear(small[w.shape[1]], w) for w in halves],
        }

    found: dict[str, dict[int, float]] = {"mkl": {}, "onednn": {}, "fbgemm_fp16": {}, "bfloat16": {}}
    with torch.inference_mode():
        for rows in arguments.rows:
            for name, run in kernels(rows).items():
                found[name][rows] = round(least_ms(run), 1)
            print(f"{rows:4} rows   " + "   ".join(f"{name} {spans[rows]:6.1f} ms" for name, spans in found.items()))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
