"""The page about routers, and its pictures, of trials whose figures are known."""

from pathlib import Path

import numpy as np
import pytest

from consilium.evaluation.routed import Routed
from consilium.evaluation.router_page import by_kind, router_page
from consilium.evaluation.router_pictures import draw_reliability, draw_usage

CREW = ("pilot", "mate", "cook")


def routed(right: list[int], chosen: list[int]) -> Routed:
    return Routed(members=CREW, scores=0.7 * np.eye(3)[chosen] + 0.1, right=np.array(right))


LABELS = [0, 1, 2] * 20
TRIALS = {
    "learned": {"raw": routed(LABELS, LABELS), "layout/json": routed([0, 1], [0, 1]), "source/x": routed([1], [0])},
    "words": {
        "raw": routed(LABELS, [0] * 60),
        "layout/json": routed([0, 1], [0, 0]),
        "source/x": routed([1], [1]),
    },
    "oracle": {"raw": routed(LABELS, LABELS), "layout/json": routed([0, 1], [0, 1]), "source/x": routed([1], [1])},
}
SPEEDS = dict.fromkeys(TRIALS, 1.5)


def test_kinds_are_pooled_and_shift_is_layouts_and_sources() -> None:
    kinds = by_kind(TRIALS["learned"])
    assert list(kinds) == ["raw", "layout", "source", "shift"]
    assert len(kinds["shift"].right) == 3
    assert kinds["shift"].hits.tolist() == [True, True, False]


def test_the_page_says_who_is_better_and_by_how_much() -> None:
    page = router_page(
        TRIALS,
        dict.fromkeys(TRIALS, 1.5),
        first="learned",
        command="consilium eval router",
        pictures=[("Usage", "a.svg")],
    )
    assert "consilium eval router" in page
    assert "| learned | 100.0 | 100.0 | 0.0 | 66.7 | " in page
    assert "| raw | 60 | 100.0 | 33.3 | words | +66.7 [" in page
    assert "| source | 1 | 0.0 | 100.0 | words | -100.0 [" in page
    assert "| layout/json | 100.0 | 50.0 | 100.0 |" in page
    assert "| cook | 100.0 |  |  |  |" in page
    assert "![Usage](a.svg)" in page


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_pictures_are_drawn_and_the_same_each_time(ending: str, tmp_path: Path) -> None:
    for number in (1, 2):
        draw_usage(TRIALS["learned"], tmp_path / f"usage{number}.{ending}")
        draw_reliability({"learned": TRIALS["learned"]["raw"]}, tmp_path / f"reliability{number}.{ending}")
    assert (tmp_path / f"usage1.{ending}").stat().st_size > 5_000
    if ending == "png":
        for name in ("usage", "reliability"):
            assert (tmp_path / f"{name}1.png").read_bytes() == (tmp_path / f"{name}2.png").read_bytes()
