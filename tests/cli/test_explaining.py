"""How a decision is explained on the command line."""

from pathlib import Path

import pytest

from consilium.cli.explaining import print_explanation
from consilium.members.base import Base
from consilium.routing.hierarchical import HierarchicalRouter
from consilium.routing.protocol import Request
from tests.support.routers import asked, small_router, write_crew_of
from tests.support.tiny import write_tiny_base


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return write_tiny_base(tmp_path_factory.mktemp("base"), num_hidden_layers=3)


@pytest.mark.parametrize(("certain", "deep"), [(0.0, "not asked"), (2.0, "mate 0.")])
async def test_both_paths_the_deep_stage_words_and_prices_are_shown(
    certain: float, deep: str, base: Base, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = small_router(base, tmp_path / "router.safetensors")
    file = file.model_copy(update={"card": file.card.model_copy(update={"certain": certain})})
    router = HierarchicalRouter(file, base, write_crew_of(tmp_path))
    print_explanation(await router.explain(Request(message=asked("mate", 77), seats=2)))
    shown = capsys.readouterr().out
    for part in ("groups    the coarse path counts for 0.", "  crew", "members   ", "  mate", f"deep      {deep}"):
        assert part in shown
    assert "words     w21 +" in shown
    assert "runner-up" in shown
    assert "regrets   mate 0." in shown
    assert "mate 0.29" in shown
