"""What a training process does with the memory it has freed."""

import subprocess
import sys

import pytest

# In a process of its own: the allocator's settings last as long as the process.
HOLES = """
import numpy, psutil
from consilium.training.memory import give_back_freed_memory, keep_freed_memory

def held():
    return psutil.Process().memory_info().rss / 2**20

assert keep_freed_memory()
blocks = [numpy.ones(2**20) for _ in range(64)]
del blocks[:-1]
before = held()
assert not give_back_freed_memory(most=1.0, left=0.0)
assert held() > before - 100, "kept while there is room"
assert give_back_freed_memory(**LIMITS)
print(before - held())
"""


@pytest.mark.parametrize("limits", [{"most": 0.0, "left": 0.0}, {"most": 1.0, "left": 1.0}])
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_freed_blocks_are_kept_until_the_process_holds_too_much_or_others_need_them(limits: dict[str, float]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"LIMITS = {limits}\n{HOLES}"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 400  # of the 504 MB that lie in front of the last block
