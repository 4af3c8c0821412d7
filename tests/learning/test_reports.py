"""Reports, refits and comparisons over a small ledger whose sums are known; router versions."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.council.council import Council
from consilium.engines.scripted import ScriptedEngine
from consilium.errors import BadRows, BadSettings, CacheUnwritable, ThinOverlap
from consilium.learning.policy import compare
from consilium.learning.refit import logged_examples
from consilium.learning.report_pictures import draw
from consilium.learning.reports import REPORTS, bounds
from consilium.learning.scored import Scored, outcome_of
from consilium.learning.transactions import transact
from consilium.learning.versions import history, kept_file, live_file, promote, rollback
from consilium.ledger.sql import SqlLedger
from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Decision, Request
from consilium.routing.router_file import RouterCard, write_router
from consilium.routing.selection import Selection
from consilium.testing.ledger import outcome, whole_turn
from tests.support.personas import write_harbour
from tests.support.postgres import new_database

TURNS = 240


class Even:
    """Seats the pilot, and explores."""

    def __init__(self, catalogue: Catalogue, exploration: float) -> None:
        self._catalogue = catalogue
        self._selection = Selection(exploration=exploration)

    def digest(self) -> str:
        return "e" * 64

    async def route(self, request: Request) -> Decision:
        scores = {"clerk": 0.0, "pilot": 0.8, "mate": 0.2}
        return self._selection.decide(scores, request, self._catalogue, router="even", digest=self.digest())


def request(turn: Scored) -> Request:
    return Request(message=turn.log.turn.message, seats=1)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Catalogue.load(write_harbour(tmp_path_factory.mktemp("personas")))


async def fill(catalogue: Catalogue, url: str) -> None:
    """Record turns with exploration that the pilot fails and the mate does well."""
    engine = ScriptedEngine({"pilot": "port", "mate": "starboard now", "clerk": "hm"})
    async with Council.open(
        personas=catalogue.root, engine=engine, router=Even(catalogue, 0.4), database=url, seats=1
    ) as asked:
        for number in range(TURNS):
            turn = await asked.ask(f"which side, {number}?")
            await asked.outcome(turn, score=float(turn.seats[0].member == "mate"), source="script")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        found = f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}"
    else:
        found = new_database(request.getfixturevalue("postgres"))
    asyncio.run(fill(catalogue, found))
    return found


async def test_reports_add_up(url: str) -> None:
    found = {name: transact(url, make) for name, make in REPORTS.items()}
    seats = {row["member"]: row for row in found["usage"].tables["members"]}
    assert sum(row["seats"] for row in seats.values()) == TURNS
    assert seats["pilot"]["seats"] == seats["pilot"]["verdicts"] > TURNS / 2
    assert seats["pilot"]["of_turns"] == seats["pilot"]["seats"] / TURNS
    wins = {row["member"]: row for row in found["members"].tables["wins"]}
    assert (wins["pilot"]["mean"], wins["mate"]["mean"], wins["mate"]["high"]) == (0, 1, 1)
    assert wins["mate"]["outcomes"] == seats["mate"]["seats"]
    bins = {row["score_from"]: row for row in found["router"].tables["calibration"]}
    assert bins[0.8]["mean_outcome"] == 0
    assert bins[0.2]["mean_outcome"] == 1
    (version,) = found["router"].tables["versions"]
    assert (version["turns"], version["exploration"]) == (TURNS, pytest.approx(0.4))
    costs = {row["member"]: row for row in found["costs"].tables["members"]}
    assert costs["mate"]["completion_tokens"] == 2 * seats["mate"]["seats"]
    assert json.dumps([report.tables for report in found.values()])


async def record_scores(database: str, scores: dict[str, list[tuple[int | None, float, float]]]) -> None:
    """Record a turn for each name, with outcomes of so (seat, score, weight)."""
    async with SqlLedger(database) as ledger:
        for turn_id, of_turn in scores.items():
            await whole_turn(ledger, turn_id)
            for place, (seat, score, weight) in enumerate(of_turn):
                entry = replace(outcome(turn_id, f"{turn_id}-{place}"), seat=seat, score=score, weight=weight)
                await ledger.record(entry)


@pytest.mark.parametrize(
    ("scores", "mean", "low", "high"),
    [
        ([(1.0, 1.0)], 1, 0.2065, 1),
        ([(0.0, 1.0)] * 3, 0, 0, 0.5615),
        ([(1.0, 1e-200)] * 5, 1, 0.5655, 1),
        ([(1.0, 0.5)] * 35 + [(0.0, 0.5)] * 12, 0.7447, 0.6049, 0.8475),
        ([(1.0, 1e6)] + [(0.0, 1.0)] * 9, 1, 0.2065, 1),  # one outcome outweighs the others: it tells as much as one
    ],
)
async def test_bounds_are_as_wide_as_the_outcomes_are_few(
    database: str, scores: list[tuple[float, float]], mean: float, low: float, high: float
) -> None:
    await record_scores(database, {"t1": [(None, *each) for each in scores]})
    report = transact(database, REPORTS["members"])
    for table in report.tables.values():
        (row,) = table
        assert row["outcomes"] == len(scores)
        assert [row["mean"], row["low"], row["high"]] == pytest.approx([mean, low, high], abs=1e-4)
        assert set(row) - {"day"} == {"member", "outcomes", "mean", "low", "high"}


@given(mean=st.floats(0, 1), count=st.floats(1, 1e9))
def test_bounds_hold_their_mean_and_stay_in_range(mean: float, count: float) -> None:
    found = bounds(mean, count)
    assert 0 <= found.low <= mean <= found.high <= 1
    assert found.high - found.low >= bounds(mean, 2 * count).high - bounds(mean, 2 * count).low


async def test_the_routers_report_and_judging_it_offline_agree_on_what_came_of_a_turn(database: str) -> None:
    scores: dict[str, list[tuple[int | None, float, float]]] = {
        "weighted": [(None, 1.0, 3.0), (None, 0.0, 1.0)],
        "of seats too": [(None, 0.5, 1.0), (0, 1.0, 9.0), (1, 1.0, 1.0)],
        "of seats alone": [(0, 1.0, 1.0), (1, 0.0, 4.0)],
        "unscored": [],
    }
    await record_scores(database, scores)
    async with SqlLedger(database) as ledger:
        judged = {log.turn.id: outcome_of(log.outcomes) for log in await ledger.turns()}
    assert judged == {"weighted": 0.75, "of seats too": 0.5, "of seats alone": 0.2, "unscored": None}
    found = transact(database, REPORTS["router"]).tables
    ((bin_,), (version,)) = found["calibration"], found["versions"]
    mean = pytest.approx((0.75 + 0.5 + 0.2) / 3)
    assert (bin_["score_from"], bin_["turns"], bin_["mean_score"], bin_["mean_outcome"]) == (0.7, 3, 0.75, mean)
    assert (version["turns"], version["digest"], version["mean_outcome"]) == (4, "0" * 12, mean)


@pytest.mark.parametrize("name", REPORTS)
async def test_reports_can_be_drawn(url: str, tmp_path: Path, name: str) -> None:
    draw(transact(url, REPORTS[name]), tmp_path / f"{name}.png")
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", REPORTS)
def test_an_empty_ledger_has_reports(database: str, name: str) -> None:
    report = transact(database, REPORTS[name])
    assert all(rows == [] for rows in report.tables.values())


class Mate(Even):
    """Seats the mate."""

    async def route(self, request: Request) -> Decision:
        scores = {"clerk": 0.0, "pilot": 0.2, "mate": 0.8}
        return self._selection.decide(scores, request, self._catalogue, router="mate", digest="m")


class Both(Even):
    """Seats two, which was never logged."""

    async def route(self, request: Request) -> Decision:
        return await super().route(replace(request, seats=2, min_seats=2))


async def test_two_routers_are_compared_on_the_same_turns(url: str, catalogue: Catalogue) -> None:
    async with SqlLedger(url) as ledger:
        found = await compare(ledger, {"logged": None, "mate": Mate(catalogue, 0.1)}, request)
        with pytest.raises(ThinOverlap, match="100% of what 'both' would have seated"):
            await compare(ledger, {"logged": None, "both": Both(catalogue, 0.0)}, request)
    assert found.turns == TURNS
    assert found.routers["logged"].estimates["snips"].value == pytest.approx(found.mean)
    assert all(gain.low > 0.4 for gain in found.gains.values())
    for estimate in found.routers["mate"].estimates.values():
        assert estimate.low <= 0.9 <= estimate.high  # one turn of ten goes to others


async def test_examples_are_drawn_by_credit_and_inverse_propensity(url: str, catalogue: Catalogue) -> None:
    async with SqlLedger(url) as ledger:
        drawn = await logged_examples(ledger, catalogue, seed=1)
        again = await logged_examples(ledger, catalogue, seed=1)
    assert drawn == again
    assert len(drawn) == TURNS
    assert Counter(example.member for example in drawn) == {"mate": TURNS}


async def test_a_ledger_without_outcomes_teaches_nothing(database: str, catalogue: Catalogue) -> None:
    async with SqlLedger(database) as ledger:
        with pytest.raises(BadRows, match="0 scored turns credit no member"):
            await logged_examples(ledger, catalogue)


def write(path: Path, certain: float) -> str:
    card = RouterCard(
        members=("pilot", "mate"),
        group_of=(0, 0),
        encoder="tiny@000000000000",
        depth=1,
        width=4,
        gate="linear",
        certain=certain,
        shares=(1.0, 1.0),
    )
    import torch

    return write_router(path, card, {"a": torch.zeros(2)})


def test_routers_are_promoted_and_rolled_back(database: str, tmp_path: Path) -> None:
    first, second = write(tmp_path / "1.safetensors", 0.1), write(tmp_path / "2.safetensors", 0.2)
    with pytest.raises(BadSettings, match="no promotion to roll back"):
        rollback(database)
    assert promote(database, tmp_path / "1.safetensors").digest == first
    assert promote(database, tmp_path / "2.safetensors").digest == second
    assert promote(database, first[:10]).digest == first
    assert [version.digest for version in history(database)[0] if version.live] == [first]
    assert [rollback(database).digest for _ in range(3)] == [second, first, None]
    with pytest.raises(BadSettings, match="no promotion to roll back"):
        rollback(database)
    versions, promotions = history(database)
    assert [version.digest for version in versions] == [first, second]
    assert not any(version.live for version in versions)
    assert [each.action for each in promotions] == ["promote"] * 3 + ["rollback"] * 3


def test_a_kept_router_comes_back_byte_for_byte_even_from_a_spoilt_cache(database: str, tmp_path: Path) -> None:
    file = tmp_path / "1.safetensors"
    digest = write(file, 0.1)
    promote(database, file)
    for _ in range(2):
        kept = kept_file(database, digest[:8], tmp_path / "cache")
        assert kept.read_bytes() == file.read_bytes()
        kept.write_bytes(b"spoilt")


def test_a_cache_that_takes_no_router_is_told(database: str, tmp_path: Path) -> None:
    digest = write(tmp_path / "1.safetensors", 0.1)
    promote(database, tmp_path / "1.safetensors")
    (tmp_path / "cache").write_text("a file, and no folder")
    with pytest.raises(CacheUnwritable, match=r"cannot be put into the cache directory .*CONSILIUM_CACHE_DIR"):
        kept_file(database, digest, tmp_path / "cache")
    with pytest.raises(CacheUnwritable, match=digest[:12]):
        live_file(database, tmp_path / "cache")


def test_what_is_no_router_is_not_promoted(database: str, tmp_path: Path) -> None:
    file = tmp_path / "1.safetensors"
    file.write_bytes(b"no router")
    with pytest.raises(BadSettings, match="is no router of this version"):
        promote(database, file)
    with pytest.raises(BadSettings, match="begins the digests of 0 kept routers"):
        promote(database, "abc")
    assert history(database) == ([], [])
