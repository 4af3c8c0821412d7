"""A tiny base that the embedded engine's tests share: it is only read."""

from collections.abc import Iterator

import pytest
import torch

from consilium.members.base import Base
from consilium.members.catalogue import Member
from tests.support.tiny import tiny_crew, write_tiny_base


@pytest.fixture(autouse=True)
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give tiny models one thread: on a busy machine several wait for each other far longer than they compute."""
    before = torch.get_num_threads()
    if request.node.get_closest_marker("model") is None:
        torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A tiny base with twelve tokens that end a statement, so that some rows end early."""
    return write_tiny_base(tmp_path_factory.mktemp("bases") / "tiny", ends=12)


@pytest.fixture(scope="session")
def crew(tiny: Base) -> list[Member]:
    """Members of different ranks, scales and modules; the last is the bare base."""
    return tiny_crew(tiny)
