"""vLLM itself, for tests: a server of the shipped members that can be killed and started again."""

import os
import signal
from dataclasses import replace
from pathlib import Path

from consilium.engines.vllm import launch
from consilium.settings import data_folder

CHECKOUT = data_folder("storage").parent
PYTHON = CHECKOUT / ".venv-vllm" / "bin" / "python"
URL = "http://127.0.0.1:8731/v1"
NOTE = CHECKOUT / "storage" / "engine" / "127.0.0.1_8731_v1.json"
"""Where `consilium engine down` looks, so that a server whose tests were killed is found and ended."""


class RealServer:
    """One server, by the plan of `consilium engine up`."""

    def __init__(self, plan: launch.Plan, log: Path) -> None:
        self._plan = plan
        self._log = log
        self._started: launch.Started | None = None

    def start(self, *, bare: bool = False) -> None:
        """Start it and wait until it answers; a bare one is told of no adapter."""
        argv = self._plan.argv
        if bare:
            argv = argv[: argv.index("--lora-modules")] + argv[argv.index("--dtype") :]
        self._started = launch.start(replace(self._plan, argv=argv), self._log)
        self._started.write(NOTE)
        launch.wait(self._started)

    def errors(self) -> str:
        """Return the first errors in its log: the cause, where it died."""
        lines = self._log.read_text("utf-8", "replace").splitlines() if self._log.exists() else []
        return "\n".join([line for line in lines if " ERROR " in line][:20])

    def kill(self) -> None:
        """End it at once, without a word to those who wait for it."""
        if self._started:
            os.killpg(self._started.pid, signal.SIGKILL)
            launch.stop(self._started)

    def stop(self) -> None:
        """End it and all that it started."""
        if self._started:
            launch.stop(self._started)
        NOTE.unlink(missing_ok=True)
