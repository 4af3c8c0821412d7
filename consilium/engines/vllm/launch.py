"""Start a vLLM server that serves a catalogue, and end it: the same command that an operator may run by hand."""

import json
import os
import shlex
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from consilium.engines.tiers import CAPACITY
from consilium.engines.vllm.null_adapter import write_null_adapter
from consilium.errors import BadSettings, EngineLost
from consilium.members.base import Base
from consilium.members.catalogue import Catalogue, Member
from consilium.settings import child_environment

MODULE = "vllm.entrypoints.openai.api_server"
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Those that vLLM allows as the largest."""
KV_CACHE_GIB = 2
"""On a CPU; else vLLM takes a share of the memory that others may need."""
STARTS_S = 600.0
"""A server that does not answer after so long is given up."""
ENDS_S = 20.0
_TAIL = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a server is started."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    """Beyond what is set already."""
    url: str

    def __str__(self) -> str:
        """Return a line for a shell."""
        set_first = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*set_first, shlex.join(self.argv)])


def plan(
    python: str,
    base: Base,
    catalogue: Catalogue,
    url: str,
    *,
    seats: int,
    on_cpu: bool,
    work: Path,
    capacity: int = CAPACITY,
) -> Plan:
    """Return how to start the server of a catalogue.

    Args:
        python: the interpreter of the environment that vLLM is installed in.
        base: what it serves.
        catalogue: whose adapters it knows from its start, each under its content name.
        url: where it is to answer, up to and with ``/v1``.
        seats: so many adapters are computed with at one time.
        work: a folder for the adapter that changes nothing, see `null_adapter`.
        on_cpu: whether there is no GPU: float32, which is fastest there, and a bound on the cache.
        capacity: so many adapters it holds in memory. Where the catalogue has more, the first are there from its start
            and the others come when they are needed.

    Raises:
        BadSettings: the URL names no port, or an adapter has a rank that vLLM does not allow.
        AdapterRefused: an adapter was trained on another base.
    """
    place = urlsplit(url)
    if place.port is None:
        raise BadSettings(f"base_url={url!r} names no port. Write e.g. http://127.0.0.1:8000/v1.")
    adapters = [member for member in catalogue.members.values() if member.adapter]
    argv = [python, "-m", MODULE, "--model", str(base.path), "--served-model-name", base.name]
    argv += ["--host", str(place.hostname), "--port", str(place.port), "--max-model-len", str(base.context_tokens)]
    for member in adapters:
        member.check_base(base.name)
    if adapters:
        null, folder = write_null_adapter(base, work.absolute())
        folders = {member.content_name: str(member.adapter.folder) for member in adapters[:capacity] if member.adapter}
        argv += ["--enable-lora", "--max-loras", str(min(seats, len(adapters)) + 1)]
        argv += [
            "--max-lora-rank",
            str(_rank(adapters)),
            "--max-cpu-loras",
            str(max(seats, min(capacity, len(adapters))) + 1),
        ]
        # Without them vLLM also wraps the output layer, where on a CPU likelihoods of members end the server.
        argv += ["--lora-target-modules", *_target_modules(adapters)]
        argv += ["--lora-modules", *(f"{name}={path}" for name, path in {**folders, null: str(folder)}.items())]
    environment = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    if on_cpu:
        argv += ["--dtype", "float32"]
        environment |= {"VLLM_CPU_KVCACHE_SPACE": str(KV_CACHE_GIB)}
    return Plan(argv=tuple(argv), environment=environment, url=url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A server that was started here: enough to find it again, and nothing else with its number."""

    pid: int
    url: str
    log: str
    argv: tuple[str, ...]

    def write(self, file: Path) -> None:
        """Note it down."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"pid": self.pid, "url": self.url, "log": self.log, "argv": self.argv}))

    @classmethod
    def read(cls, file: Path) -> "Started | None":
        """Return what was noted down, if the process is still that one."""
        try:
            noted = json.loads(file.read_text())
            found = cls(pid=int(noted["pid"]), url=noted["url"], log=noted["log"], argv=tuple(noted["argv"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if found.runs() else None

    def runs(self) -> bool:
        """Return whether the process is there and runs what was started."""
        try:
            line = Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return [part.decode("utf-8", "replace") for part in line[:-1]] == list(self.argv)

    def last_lines(self) -> str:
        """Return the end of its log."""
        return "\n".join(Path(self.log).read_text("utf-8", "replace").splitlines()[-_TAIL:])


def start(how: Plan, log: Path, key: str | None = None) -> Started:
    """Start the server in a session of its own, with its output in ``log``.

    Raises:
        BadSettings: the interpreter cannot be run.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = child_environment(**how.environment, **({"VLLM_API_KEY": key} if key else {}))
    with log.open("wb") as output:
        streams = [(os.POSIX_SPAWN_DUP2, output.fileno(), number) for number in (1, 2)]
        try:
            # Not subprocess, whose processes are to be waited for: this one outlives the command that starts it.
            pid = os.posix_spawnp(how.argv[0], how.argv, environment, file_actions=streams, setsid=True)
        except OSError as error:
            raise BadSettings(
                f"{how.argv[0]} cannot be run: {error.strerror}. Name the interpreter of vLLM's environment: --python."
            ) from error
    return Started(pid=pid, url=how.url, log=str(log), argv=how.argv)


def wait(started: Started) -> None:
    """Return as soon as the server answers.

    Raises:
        EngineLost: it ended, or does not answer in time; with the last lines of its log.
    """
    began = time.monotonic()
    while not healthy(started.url):
        time.sleep(0.5)  # first, for a process that was just started does not show its command yet
        passed = time.monotonic() - began
        if not started.runs() or passed > STARTS_S:
            reason = "does not answer" if started.runs() else "ended"
            raise EngineLost(f"the server {reason} after {passed:.0f} s. {started.log} ends:\n{started.last_lines()}")


def healthy(url: str) -> bool:
    """Return whether a server answers."""
    place = urlsplit(url)
    try:
        with urlopen(f"{place.scheme}://{place.netloc}/health", timeout=5) as answer:  # noqa: S310 - from the settings
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def stop(started: Started) -> None:
    """End the server and what it started, at once where it does not end by itself."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(started.pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + ENDS_S
        while started.runs() and time.monotonic() < deadline:
            time.sleep(0.1)
        if not started.runs():
            return


def _rank(adapters: list[Member]) -> int:
    largest = max(member.adapter.settings.r for member in adapters if member.adapter)
    allowed = [rank for rank in RANKS if rank >= largest]
    if not allowed:
        raise BadSettings(f"an adapter has rank {largest}; vLLM allows at most {RANKS[-1]}. Train one of lower rank.")
    return allowed[0]


def _target_modules(adapters: list[Member]) -> list[str]:
    return sorted(
        {module for member in adapters if member.adapter for module in member.adapter.settings.target_modules}
    )
