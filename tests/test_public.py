"""What the package exports, and what importing it costs."""

import statistics
import subprocess
import sys

import consilium

PROGRAM = """
import sys, time
started = time.perf_counter()
import consilium
print((time.perf_counter() - started) * 1000)
print(*sorted({"torch", "vllm", "langgraph", "sqlalchemy", "transformers", "pydantic"} & set(sys.modules)))
"""
ALL_OF_IT = """
import sys, consilium
for name in consilium.__all__: getattr(consilium, name)
import consilium.cli.main
print(*sorted({"torch", "vllm", "transformers", "sklearn"} & set(sys.modules)))
"""


def test_the_public_surface_grows_on_purpose_only() -> None:
    assert consilium.__all__ == [
        "Admitted",
        "Catalogue",
        "Concluded",
        "ConsiliumError",
        "Council",
        "Decided",
        "Evaluation",
        "Event",
        "Grade",
        "Job",
        "MemoryLedger",
        "Play",
        "Result",
        "Script",
        "ScriptedEngine",
        "Seat",
        "Session",
        "Stated",
        "Suite",
        "Token",
        "Turn",
    ]
    assert all(getattr(consilium, name) for name in consilium.__all__)
    assert set(consilium.__all__) <= set(dir(consilium))
    assert not hasattr(consilium, "nonsense")


def test_importing_is_light() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout.splitlines()
        for _ in range(3)
    ]
    assert {heavy for _, heavy in runs} == {""}
    assert statistics.median(float(milliseconds) for milliseconds, _ in runs) < 300


def test_what_takes_seconds_to_import_waits_until_a_model_is_wanted() -> None:
    """A command that is refused, or a script whose engine is a server, has no use for torch."""
    done = subprocess.run([sys.executable, "-c", ALL_OF_IT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
