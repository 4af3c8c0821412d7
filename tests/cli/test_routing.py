"""A router is fitted, asked and tried, as a user does it: on invented rows, with the real base."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from consilium.routing.router_file import MAX_MEMBERS, MAX_TUNED
from tests.cli.conftest import Run
from tests.support.personas import TRAINING, write_catalogue, write_persona

pytestmark = pytest.mark.model

BOATS = ("skiff", "cutter", "ketch", "sloop", "barge", "tug", "dinghy", "ferry", "yawl", "punt", "canoe", "trawler")
ASKED = {"pilot": "Steer the {} north past buoy {}.", "mate": "Who scrubs the deck of the {} on day {}?"}


@pytest.fixture
def personas(tmp_path: Path) -> Path:
    root = tmp_path / "crew"
    rows = {"requests": ["{input}", "Please: {input}"]}
    root.mkdir()
    write_persona(root, "clerk", "desk")
    for name, request in ASKED.items():
        write_persona(root, name, "crew", training={**TRAINING, "rows": rows}, follow_ups=[f"and the {name}?"])
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for number, part in enumerate(("train", "dev", "test")):
            entries = [{"input": request.format(boat, number), "targets": ["aye"]} for boat in BOATS]
            (folder / f"{part}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    write_catalogue(root, {"desk": ["clerk"], "crew": list(ASKED)}, fallback="clerk")
    return root


@pytest.mark.slow
def test_a_router_is_fitted_asked_and_tried(run: Run, personas: Path, tmp_path: Path) -> None:
    where = {"CONSILIUM_PERSONAS": str(personas)}
    fitted = run("train", "router", "--data", "data", "--heard", "2", "--tune", "64", **where)
    assert fitted.returncode == 0, fitted.stderr
    assert "3 members" in fitted.stderr
    assert (personas / "router.safetensors").stat().st_size < 20_000_000

    explained = run("route", "--explain", "Steer the yacht north past buoy 7", **where).stdout
    assert "hierarchical router" in explained
    assert "coarse path counts for" in explained

    tried = run("eval", "router", "--data", "data", "--json", "--page", "routers.md", **where)
    assert tried.returncode == 0, tried.stderr
    routers = json.loads(tried.stdout.splitlines()[-1])["routers"]
    assert {"hierarchical", "tf-idf", "MiniLM logistic", "centroid", "oracle"} <= set(routers)
    assert routers["hierarchical"]["kinds"]["raw"] > 0.9
    assert routers["oracle"]["kinds"]["raw"] == 1.0
    assert routers["chance"]["kinds"]["raw"] < 0.6
    assert "| hierarchical |" in (tmp_path / "routers.md").read_text(encoding="utf-8")
    assert all((tmp_path / f"routers-{name}.svg").exists() for name in ("usage", "reliability", "map"))

    write_persona(personas, "cook", "crew", training=TRAINING)
    write_catalogue(personas, {"desk": ["clerk"], "crew": [*ASKED, "cook"]}, fallback="clerk")
    folder = tmp_path / "new" / "cook"
    folder.mkdir(parents=True)
    for number, part in enumerate(("train", "dev", "test")):
        entries = [{"input": f"Stew the {boat} crew's fish on day {number}.", "targets": ["aye"]} for boat in BOATS]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    tried = run("eval", "router", "--data", "new", "--routers", "hierarchical", "--page", "new.md", **where)
    assert tried.returncode == 0, tried.stderr
    page = (tmp_path / "new.md").read_text(encoding="utf-8")
    assert "| hierarchical |" in page
    assert "new-map.svg" not in page  # of whose space the cook is no part


def test_a_router_that_does_not_exist_is_named(run: Run, personas: Path) -> None:
    done = run("eval", "router", "--data", "data", "--routers", "tfidf", CONSILIUM_PERSONAS=str(personas))
    assert done.returncode == 2
    assert "no router is called 'tfidf'" in done.stderr


def test_rows_that_are_not_there_are_named(run: Run, personas: Path) -> None:
    done = run("train", "router", "--data", "nowhere", CONSILIUM_PERSONAS=str(personas))
    assert done.returncode == 2
    assert "nowhere" in done.stderr


@pytest.mark.parametrize(
    ("verb", "option"), [("train", "--output"), ("train", "--work"), ("eval", "--page"), ("eval", "--work")]
)
def test_a_place_that_cannot_be_written_is_named_before_the_work(
    run: Run, personas: Path, verb: str, option: str
) -> None:
    done = run(verb, "router", "--data", "data", option, "data/pilot/dev.jsonl/out", CONSILIUM_PERSONAS=str(personas))
    assert done.returncode == 2
    assert re.search(r"dev\.jsonl.* cannot be made: ", done.stderr)


@pytest.mark.parametrize(
    ("options", "which", "most"), [((), "a router", MAX_MEMBERS), (("--tune", "9"), "with a tuned encoder", MAX_TUNED)]
)
def test_more_members_than_a_file_holds_are_refused_before_anything_is_read(
    run: Run, tmp_path: Path, options: Sequence[str], which: str, most: int
) -> None:
    root, hands = tmp_path / "many", [f"deckhand{number}" for number in range(most)]
    root.mkdir()
    write_persona(root, "clerk", "desk")
    for name in hands:
        write_persona(root, name, "crew")
    write_catalogue(root, {"desk": ["clerk"], "crew": hands}, fallback="clerk")
    done = run("train", "router", "--data", "nowhere", *options, CONSILIUM_PERSONAS=str(root))
    assert done.returncode == 2
    assert f"{most + 1} members: " in done.stderr
    assert f"{which} is fitted for at most {most}" in done.stderr
