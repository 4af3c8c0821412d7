"""Requests for a router: every form of a member's rows, and nothing that is tried among what is fitted on."""

import json
from pathlib import Path

import pytest

from consilium.members.catalogue import Catalogue
from consilium.routing.classifier import Example
from consilium.routing.conversations import STAYS, STAYS_HELD_OUT, said_after
from consilium.routing.injections import INJECTIONS, INJECTIONS_HELD_OUT
from consilium.routing.layouts import NEW_LAYOUTS
from consilium.routing.requests import OFFERED, TRIED, Requests, gather
from consilium.routing.sources import open_work, sources
from consilium.training.held_out import held_out
from tests.support.personas import TRAINING, write_catalogue, write_persona
from tests.support.sources import write_sources

ROWS = {"train": 100, "dev": 20, "test": 80}


@pytest.fixture
def crew(tmp_path: Path) -> Catalogue:
    rows = {"requests": ["{input}", "Do this: {input}"], "held_out_requests": ["Please: {input}"]}
    write_persona(tmp_path, "clerk", "desk")
    for name in ("pilot", "mate"):
        write_persona(
            tmp_path,
            name,
            "crew",
            training={**TRAINING, "rows": rows},
            follow_ups=[f"and the {name}?", f"now the {name}", f"what does the {name} say?"],
        )
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for part, count in ROWS.items():
            entries = [{"input": f"{name} {part} boat {n}", "targets": ["aye"]} for n in range(count)]
            (folder / f"{part}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    write_catalogue(tmp_path, {"desk": ["clerk"], "crew": ["pilot", "mate"]}, fallback="clerk")
    return Catalogue.load(tmp_path)


@pytest.fixture
def requests(crew: Catalogue) -> Requests:
    return gather(crew, [crew.root / "data"], rows=60)


def test_rows_are_shown_plain_phrased_and_laid_out(requests: Requests) -> None:
    fit = [each for each in requests.fit if "train boat" in each.message.lower()]
    assert sum(each.message.startswith("Do this: ") for each in fit) == pytest.approx(60, abs=25)
    assert 130 < len({each.message for each in fit if each.member == "pilot"}) + 60 < 220
    assert all(each.member in each.message.lower() for each in fit)


def test_every_condition_is_tried_with_nothing_that_was_fitted_on(requests: Requests) -> None:
    layouts = {f"layout/{name}" for name in NEW_LAYOUTS}
    assert set(requests.trials) == {"raw", "phrased", "injected", "stay", "call", *layouts}
    assert all(each.message.startswith("Please: ") for each in requests.trials["phrased"])
    assert {len(requests.trials[name]) for name in layouts} == {2 * TRIED}
    known = {each.message for each in (*requests.fit, *requests.dev)}
    assert not known & {each.message for examples in requests.trials.values() for each in examples}


def test_sources_that_are_held_out_are_tried_and_never_fitted_on(crew: Catalogue) -> None:
    write_sources(crew.root / "more")
    found = gather(crew, [crew.root / "data"], crew.root / "more", rows=10)
    elsewhere = sources(crew.root / "more", "clerk")
    new = held_out(elsewhere)
    assert {name.removeprefix("source/") for name in found.trials if name.startswith("source/")} == new
    known = {each.message for each in (*found.fit, *found.dev)}
    for name, examples in elsewhere.items():
        assert all((each.message in known) == (name not in new) for each in examples)


def test_open_work_is_for_nobody_but_the_fallback(crew: Catalogue) -> None:
    write_sources(crew.root / "more")
    found = gather(crew, [crew.root / "data"], crew.root / "more", rows=10)
    who = {each.message: each.member for each in (*found.open_work, *found.dev)}
    known = {row.request for rows in open_work(crew.root / "more").values() for row in rows}
    assert {who[request] for request in known} == {"clerk"}
    assert not known & {each.message for each in found.fit}
    assert not known & set(found.unlabelled)


def test_rows_of_who_chooses_among_labels_are_shown_with_them(crew: Catalogue) -> None:
    for name in ("train", "dev"):
        rows = crew.root / "data" / "mate" / f"{name}.jsonl"
        entries = [json.loads(line) for line in rows.read_text().splitlines()]
        answered = [{**entry, "targets": [("port", "lee", "bow")[n % 3]]} for n, entry in enumerate(entries)]
        rows.write_text("".join(json.dumps(entry) + "\n" for entry in answered))
    found = gather(crew, [crew.root / "data"])
    offered = [each for each in found.fit if all(label in each.message for label in ("port", "lee", "bow"))]
    assert len(offered) == pytest.approx(OFFERED * ROWS["train"], abs=15)
    assert {each.member for each in offered} == {"mate"}  # all that the pilot replies is aye


def test_follow_ups_go_to_whoever_answered_or_is_called(requests: Requests) -> None:
    called = [each for each in requests.fit if each.message == "and the mate?"]
    assert {(each.member, each.source) for each in called} == {("mate", "call")}
    assert {each.message for each in requests.trials["stay"]} == set(STAYS_HELD_OUT)
    assert all(each.member == each.sat for each in requests.trials["stay"])
    assert {each.sat for each in requests.trials["call"]} == {"mate", "pilot"}
    calls = {(each.message, each.member) for each in requests.trials["call"]}
    assert calls == {(f"what does the {name} say?", name) for name in ("pilot", "mate")}
    assert requests.stays == STAYS
    assert not set(STAYS) & set(STAYS_HELD_OUT)


def test_some_requests_hold_instructions_to_the_router_and_those_to_try_others(requests: Requests) -> None:
    def holding(examples: tuple[Example, ...], injections: tuple[str, ...]) -> list[Example]:
        called = {text.format(member=name) for text in injections for name in ("clerk", "pilot", "mate")}
        return [each for each in examples if any(text in each.message for text in called)]

    learned = holding(requests.fit, INJECTIONS)
    assert len(learned) == pytest.approx(0.03 * len(requests.fit), abs=3)
    assert not holding(requests.fit, INJECTIONS_HELD_OUT)
    tried = requests.trials["injected"]
    assert len(holding(tried, INJECTIONS_HELD_OUT)) == len(tried) == 5 * TRIED
    for each in (*learned, *tried):
        assert f"{each.member} " in each.message.lower()  # its own request is still whole


def test_members_with_few_rows_are_shown_them_again_and_those_of_later_folders_stand_apart(crew: Catalogue) -> None:
    own = crew.root / "other" / "mate"
    own.parent.mkdir()
    (crew.root / "data" / "mate").rename(own)
    train = own / "train.jsonl"
    train.write_text("".join(train.read_text().splitlines(keepends=True)[:40]))
    found = gather(crew, [crew.root / "data", own.parent])
    shown = [each.message for each in found.fit]
    assert {shown.count(f"Do this: pilot train boat {n}") for n in range(1, 100, 2)} == {1}
    assert {shown.count(f"Do this: mate train boat {n}") for n in range(1, 40, 2)} == {2}  # 40 rows beside 100
    for kind in ("raw", "phrased"):
        assert {each.member for each in found.trials[kind]} == {"pilot"}
        assert {each.member for each in found.trials[f"other/{kind}"]} == {"mate"}


def test_the_same_seed_draws_the_same_conversations() -> None:
    examples = [Example(message=f"boat {number}", member=("pilot", "mate")[number % 2]) for number in range(50)]
    first, again, other = (said_after(examples, examples, 3, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
