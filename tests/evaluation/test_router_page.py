"""The page about routers, and its pictures, of trials whose figures are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from consilium.evaluation.routed import Routed, Tried
from consilium.evaluation.router_page import by_kind, figures, router_page
from consilium.evaluation.router_pictures import draw_map, draw_reliability, draw_usage
from consilium.evaluation.seating import Foreign, Worth

CREW = ("pilot", "mate", "cook")


def routed(right: list[int], chosen: list[int]) -> Routed:
    return Routed(members=CREW, scores=0.7 * np.eye(3)[chosen] + 0.1, right=np.array(right))


LABELS = [0, 1, 2] * 20
CONDITIONS = {
    "learned": {"raw": routed(LABELS, LABELS), "layout/json": routed([0, 1], [0, 1]), "source/x": routed([1], [0])},
    "words": {
        "raw": routed(LABELS, [0] * 60),
        "layout/json": routed([0, 1], [0, 0]),
        "source/x": routed([1], [1]),
    },
    "oracle": {"raw": routed(LABELS, LABELS), "layout/json": routed([0, 1], [0, 1]), "source/x": routed([1], [1])},
}
WORTH = (
    Worth(task="pilot", metric="accuracy", rows=40, found=0.9, own=0.8, routed=0.7, regret=0.1),
    Worth(task="mate", metric="chrf", rows=40, found=1.0, own=0.4, routed=0.38, regret=0.3),
)
TRIALS = {name: Tried(conditions=parts, worth=WORTH) for name, parts in CONDITIONS.items()}
FITTED = {"learned": ("learned (fast)", "learned (deep)"), "learned 2": ("learned 2 (fast)", "learned 2 (deep)")}


def foreign(rows: int, routed: float, **members: float) -> Foreign:
    return Foreign(
        members={name: np.full(rows, lost) for name, lost in members.items()},
        routers={"learned": np.full(rows, routed)},
    )


UNSEEN = {
    "riddles": foreign(9, 0.25, pilot=0.4, mate=0.5, cook=0.7),
    "poems": foreign(3, 1.25, pilot=1.6, mate=0.9, cook=0.7),
}


def test_kinds_are_pooled_and_shift_is_layouts_and_sources() -> None:
    kinds = by_kind(CONDITIONS["learned"])
    assert list(kinds) == ["raw", "layout", "source", "shift"]
    assert len(kinds["shift"].right) == 3
    assert kinds["shift"].hits.tolist() == [True, True, False]


def test_the_page_says_who_is_better_and_by_how_much() -> None:
    page = router_page(
        TRIALS,
        UNSEEN,
        first="learned",
        fitted=FITTED,
        fallback="cook",
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


def test_the_page_says_who_is_better_among_those_whose_work_it_is() -> None:
    pilots_and_mates = {"raw": routed([0, 1] * 9, [2, 2] * 9), "source/x": routed([1], [0])}
    trials = {**TRIALS, "learned": Tried(conditions=pilots_and_mates)}
    trials["words"] = Tried(conditions={**pilots_and_mates, "raw": routed([0, 1] * 9, [0, 1] * 9)})
    page = router_page(trials, {}, first="learned", fitted=FITTED, fallback="cook", command="", pictures=[])
    assert "| raw | 18 | 0.0 | 100.0 | words | -100.0 [" in page
    assert "| raw | 18 | 50.0 | 100.0 | words | -50.0 [" in page
    assert figures(trials["learned"])["narrowed"] == {"raw": 0.5}
    assert "| of 2 | raw |" not in page
    trials["learned 2"] = trials["words"]
    page = router_page(trials, {}, first="learned", fitted=FITTED, fallback="cook", command="", pictures=[])
    assert "| of 2 | raw |\n| --- | --: |\n| mean | 75.0 |\n| lowest | 50.0 |\n| highest | 100.0 |" in page


def test_a_routers_own_stages_are_no_baselines() -> None:
    trials = {"learned": TRIALS["learned"], "learned (fast)": TRIALS["words"], "learned (deep)": TRIALS["oracle"]}
    page = router_page(trials, {}, first="learned", fitted=FITTED, fallback="cook", command="", pictures=[])
    assert "best of the others" not in page
    assert "| layout | 2 | 100.0 | 100.0 | learned (deep) | +0.0 [" in page
    among_those_alone = page.partition("## Among those alone")[2].partition("## By condition")[0]
    assert "| raw | 60 | 100.0 | 100.0 | learned (deep) | +0.0 [" in among_those_alone


def test_a_router_that_was_fitted_alike_is_no_baseline_but_shows_how_fits_differ() -> None:
    trials = {"learned": TRIALS["learned"], "learned 2": TRIALS["words"], "learned 2 (fast)": TRIALS["words"]}
    page = router_page(trials, {}, first="learned", fitted=FITTED, fallback="cook", command="", pictures=[])
    assert "best of the others" not in page
    assert "| of 2 | raw | layout | source | shift |" in page
    assert "| mean | 66.7 | 75.0 | 50.0 | 66.7 |" in page
    assert "| lowest | 33.3 | 50.0 | 0.0 | 66.7 |" in page
    assert "| highest | 100.0 | 100.0 | 100.0 | 66.7 |" in page


def test_the_page_says_what_decisions_were_worth() -> None:
    page = router_page(TRIALS, UNSEEN, first="learned", fitted=FITTED, fallback="cook", command="", pictures=[])
    assert "| learned | all | 95.0 | 60.0 | 54.0 | 90.0 | 0.200 |" in page
    assert "| mate | chrf | 40 | 100.0 | 40.0 | 38.0 | 0.300 |" in page
    assert "| riddles | 9 | 0.25 | 0.70 | 0.40 (pilot) | -0.45 [-0.45, -0.45] |" in page
    assert "| poems | 3 | 1.25 | 0.70 | 0.90 (mate) | +0.55 [+0.55, +0.55] |" in page
    assert "| together | 12 | 0.50 | 0.70 | 0.60 (mate) | -0.20 [" in page
    assert "| fit | more than cook |" not in page
    assert figures(TRIALS["words"])["of_oracle"] == pytest.approx(0.9)


def test_the_page_says_what_each_fit_loses_over_the_fallback() -> None:
    unseen = {
        name: replace(part, routers={**part.routers, "learned 2": part.members["cook"] + 0.1})
        for name, part in UNSEEN.items()
    }
    trials = {**TRIALS, "learned 2": TRIALS["learned"]}
    page = router_page(trials, unseen, first="learned", fitted=FITTED, fallback="cook", command="", pictures=[])
    assert "| fit | more than cook |\n| --- | --: |\n| learned | -0.20 [" in page
    assert "| learned 2 | +0.10 [+0.10, +0.10] |" in page


def test_what_decisions_were_worth_is_told_of_each_folder() -> None:
    apart = {"raw": routed([0], [0]), "phrased": routed([0] * 4, [0] * 4), "tales/phrased": routed([1, 1], [1, 0])}
    trials = {"learned": Tried(conditions=apart, worth=WORTH)}
    page = router_page(trials, UNSEEN, first="learned", fitted=FITTED, fallback="cook", command="", pictures=[])
    assert "| learned | first | 90.0 | 80.0 | 70.0 | 87.5 | 0.100 |" in page
    assert "| learned | tales | 100.0 | 40.0 | 38.0 | 95.0 | 0.300 |" in page
    assert "| learned | all | 95.0 | 60.0 | 54.0 | 90.0 | 0.200 |" in page


def test_decisions_are_no_share_of_nothing() -> None:
    nothing = Worth(task="pilot", metric="accuracy", rows=1, found=1.0, own=0.0, routed=0.0, regret=0.5)
    trials = {"learned": Tried(conditions=CONDITIONS["learned"], worth=(nothing,))}
    page = router_page(trials, UNSEEN, first="learned", fitted=FITTED, fallback="cook", command="", pictures=[])
    assert "| learned | all | 100.0 | 0.0 | 0.0 |  | 0.500 |" in page
    found = figures(trials["learned"])
    assert "of_oracle" not in found
    assert found["regret"] == 0.5


def test_the_page_says_how_often_another_sits_than_the_likeliest() -> None:
    careful = Routed(
        members=CREW,
        scores=CONDITIONS["learned"]["raw"].scores,
        right=np.array(LABELS),
        seated=np.array([2 if number < 6 else right for number, right in enumerate(LABELS)]),
    )
    trials = {"learned": Tried(conditions={"raw": careful, "layout/json": careful})}
    page = router_page(trials, {}, first="learned", fitted=FITTED, fallback="cook", command="", pictures=[])
    assert "| raw | 100.0 | 93.3 | 6.7 |" in page
    assert "| shift | 100.0 | 93.3 | 6.7 |" in page
    assert careful.figures()["seated"] == pytest.approx(56 / 60)


def test_a_router_that_nobody_was_heard_for_has_no_worth() -> None:
    trials = {**TRIALS, "words": Tried(conditions=CONDITIONS["words"])}
    assert "of_oracle" not in figures(trials["words"])
    page = router_page(trials, {}, first="learned", fitted=FITTED, fallback="cook", command="", pictures=[])
    worth = page.partition("## What decisions are worth")[2]
    assert "| learned |" in worth
    assert "| words |" not in worth


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_pictures_are_drawn_and_the_same_each_time(ending: str, tmp_path: Path) -> None:
    for number in (1, 2):
        points, of = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32), CREW * 10
        draw_map(points, of, points[:3], tmp_path / f"map{number}.{ending}")
        draw_usage(CONDITIONS["learned"], tmp_path / f"usage{number}.{ending}")
        draw_reliability({"learned": CONDITIONS["learned"]["raw"]}, tmp_path / f"reliability{number}.{ending}")
    assert (tmp_path / f"usage1.{ending}").stat().st_size > 5_000
    if ending == "png":
        for name in ("usage", "reliability", "map"):
            assert (tmp_path / f"{name}1.png").read_bytes() == (tmp_path / f"{name}2.png").read_bytes()
