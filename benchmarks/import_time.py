"""How long ``import consilium`` takes, in new interpreters.

usage: python benchmarks/import_time.py [--runs 9]

Prints milliseconds; the last line is JSON with the median, and whether torch was imported with it.
"""

import argparse
import json
import statistics
import subprocess
import sys

PROGRAM = (
    "import sys, time; t = time.perf_counter(); import consilium; "
    "print((time.perf_counter() - t) * 1000, 'torch' in sys.modules)"
)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    answers = [
        subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout.split()  # noqa: S603 -- our own program
        for _ in range(runs)
    ]
    spans = [float(milliseconds) for milliseconds, _ in answers]
    print(f"{min(spans):.1f} to {max(spans):.1f} ms")
    print(json.dumps({"import_ms": round(statistics.median(spans), 1), "torch": any(t == "True" for _, t in answers)}))


if __name__ == "__main__":
    main()
