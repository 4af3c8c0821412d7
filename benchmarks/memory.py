"""What members and seats take up: the resident memory of a process with the embedded engine, on Linux.

usage: python benchmarks/memory.py [--tokens 32] [--prompt-tokens 256]

``members16`` is what 16 members add to the base, over 16 times the bytes of an adapter on disk. ``seats32_gib`` is the
process's highest resident memory while 32 seats of 16 members speak, all included: Python, torch, base and members.
Prints megabytes; the last line is JSON.
"""

import argparse
import ctypes
import json
import resource
from pathlib import Path

import torch
from crew import crew
from mixed_batch import Ours

from consilium.members.base import BUILT_IN, open_base
from consilium.settings import Settings

MEMBERS, SEATS = 16, 32


def resident_mb() -> float:
    """Return the megabytes of this process that are in memory now, freed ones given back first."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--prompt-tokens", type=int, default=256)
    arguments = parser.parse_args()
    members = crew(MEMBERS)
    ours = Ours(open_base(BUILT_IN, cache=Settings.load().cache_dir))
    ids = torch.randint(1_000, 40_000, (SEATS, arguments.prompt_tokens), generator=torch.Generator().manual_seed(0))
    ours.speak(ids[:1], 2, members[:1])  # what any statement needs
    before = resident_mb()
    for member in members:
        ours.load(member)
    after = resident_mb()
    adapters = sum(member.adapter.bytes_on_disk for member in members if member.adapter) / 1e6
    ours.speak(ids, arguments.tokens, members * (SEATS // MEMBERS))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024 / 2**30
    print(f"base {before:,.0f} MB   16 members +{after - before:,.0f} MB (on disk {adapters:,.0f} MB)")
    print(f"peak {peak:.2f} GiB")
    figures = {"base_mb": before, "members16": (after - before) / adapters, "seats32_gib": peak}
    print(json.dumps({name: round(figure, 3) for name, figure in figures.items()}))


if __name__ == "__main__":
    main()
