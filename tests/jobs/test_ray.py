"""A job on a Ray cluster: whatever dies there is replaced, and nothing is lost, doubled or paid again."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from consilium import MemoryLedger
from consilium.errors import BadSettings, JobError, MissingExtra
from consilium.jobs.footing import Footing
from consilium.jobs.ray_executor import RayExecutor
from consilium.ledger.sql import SqlLedger
from consilium.members.catalogue import Catalogue
from consilium.settings import keep_ray_quiet
from tests.jobs.test_kill import (
    check_whole,
    finished,
    kill_many_times,
    of_rows,
    paid,
    start,
    wait_until_paid,
    write_rows,
)
from tests.support.job_child import on_ray, open_council, open_job

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own
KILLS = int(os.environ.get("RAY_KILLS", "5"))


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, harbour: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'consilium\[ray\]'"):
        RayExecutor(lambda: open_council(harbour, MemoryLedger()))


def test_a_ledger_that_workers_cannot_open_is_refused(harbour: Path) -> None:
    for ledger in (MemoryLedger(), SqlLedger("sqlite://")):
        with pytest.raises(BadSettings, match="one ledger that all of them can open"):
            Footing.of(open_council(harbour, ledger))


def test_workers_stand_where_the_job_stands(harbour: Path, tmp_path: Path) -> None:
    def council(personas: Path, file: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
        return open_council(personas, SqlLedger(f"sqlite:///{tmp_path / file}"))

    footing = Footing.of(council(harbour, "ledger.db"))
    footing.check(council(harbour, "./ledger.db"))
    with pytest.raises(BadSettings, match=r"has ledger .*other.db"):
        footing.check(council(harbour, "other.db"))
    renamed = Catalogue.load(harbour).root / "catalogue.toml"
    renamed.write_text(renamed.read_text().replace('"pilot", ', ""))
    with pytest.raises(BadSettings, match=r"has members .*'clerk', 'mate@"):
        footing.check(council(harbour, "ledger.db"))


@pytest.fixture(scope="module", autouse=True)
def beside_others() -> Iterator[None]:
    """Have Ray neither kill workers for what other processes take of the machine's memory, nor let those go first."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {"memory_monitor_refresh_ms": "0", "worker_niceness": "0"}.items():
            patched.setenv(f"RAY_{name}", value)
        keep_ray_quiet()
        yield


async def test_a_cluster_that_is_not_there_is_told_at_once(harbour: Path, tmp_path: Path) -> None:
    write_rows(tmp_path, 1)
    job = open_job(harbour, tmp_path, executor=on_ray(harbour, tmp_path, "127.0.0.1:1"))
    with pytest.raises(JobError, match=r"no Ray cluster at '127.0.0.1:1': .*refused"):
        await anext(job.run())
    assert (tmp_path / "out.jsonl").read_text() == ""


@pytest.fixture(scope="module")
def cluster() -> "Iterator[Cluster]":
    """Two nodes on this machine, with room for a job's two workers on each."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    nodes.add_node(num_cpus=2)
    yield nodes
    nodes.shutdown()


def workers(folder: Path) -> list[int]:
    file = folder / "workers.txt"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def survive(folder: Path, address: str, kill: Callable[[], None]) -> None:
    """Run a job of 500 rows, and kill something of the cluster in the middle; the job goes on."""
    write_rows(folder, 500)
    job = start(folder, address)
    wait_until_paid(folder, job, 400)
    assert job.poll() is None
    before = finished(folder)
    cost = of_rows(paid(folder), before)
    kill()
    assert job.wait(timeout=300) == 0
    assert of_rows(paid(folder), before) == cost
    check_whole(folder, 500, kills=1)
    assert len(workers(folder)) >= 3  # the dead one was replaced


@pytest.mark.slow
def test_a_job_on_ray_survives_being_killed(cluster: "Cluster", harbour: Path, tmp_path: Path) -> None:
    assert kill_many_times(tmp_path, cluster.address, rows=500, kills=KILLS, seed=3) >= KILLS - 2


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(cluster: "Cluster", harbour: Path, tmp_path: Path) -> None:
    survive(tmp_path, cluster.address, lambda: os.kill(workers(tmp_path)[0], signal.SIGKILL))


@pytest.mark.slow
def test_an_interrupt_drains_and_a_cluster_of_its_own_ends_with_the_job(harbour: Path, tmp_path: Path) -> None:
    write_rows(tmp_path, 500)
    job = start(tmp_path, "local", alone=True)
    wait_until_paid(tmp_path, job, 100)
    os.killpg(job.pid, signal.SIGINT)  # ^C goes to all of Ray's processes too
    assert job.wait(timeout=120) == 0
    done = finished(tmp_path)
    assert 0 < len(done) < 500
    assert paid(tmp_path).total() == 2 * len(done)
    for worker in workers(tmp_path):
        assert not Path(f"/proc/{worker}").exists()


@pytest.mark.slow
def test_a_node_that_dies_takes_no_row_with_it(cluster: "Cluster", harbour: Path, tmp_path: Path) -> None:
    (node,) = cluster.worker_nodes
    survive(tmp_path, cluster.address, lambda: cluster.remove_node(node, allow_graceful=False))
