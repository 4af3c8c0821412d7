"""Works: every kind that a persona may name, its metrics, and what a fool scores."""

import typing
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.errors import BadPersona, BadRows
from consilium.evaluation.style import StyleClassifier, Voice
from consilium.evaluation.texts import chrf
from consilium.evaluation.work import WORKS, Work, style_work, work_of
from consilium.members.catalogue import Catalogue, Member
from consilium.members.persona import RowsSpec, Training
from consilium.training.rows import Row, read_split
from tests.support.data import SHARED
from tests.support.personas import TRAINING, write_catalogue, write_persona

HOUSE = SHARED / "house"

VOICE = Voice(
    classifier=StyleClassifier.fit({"pilot": ["north by the buoy"], "clerk": ["a fee in the book"]}),
    author="pilot",
    learned=("steer north by the old buoy",),
)


def row(asked: str, *replies: str) -> Row:
    return Row(request=f"Please: {asked}", replies=replies, input=asked)


ROWS: dict[str, list[Row]] = {
    "frame": [
        row("moor at four", '{"intent": "Moor", "berth": "4"}'),
        row("moor at four!", '{"intent": "Moor", "berth": "4"}'),
        row("let us go", '{"intent": "Leave"}'),
    ],
    "label": [row("a keel", "boat"), row("a mast", "boat"), row("a bell", "buoy")],
    "correction": [row("the uh the boat", "the boat", "a boat"), row("is no was it in", "was it in")],
    "split": [row("It came and it left .", "It came . It left ."), row("It rose and fell .", "It rose . It fell .")],
    "coverage": [
        row("name[The Sea Mew], area[riverside]", "The Sea Mew lies by the river.", "By the river: The Sea Mew."),
        row("name[Tides], food[Cornish]", "Tides is Cornish."),
    ],
    "translation": [row("The boat is in.", "Båten är inne.", "Båten är i hamn."), row("Go!", "Gå!")],
    "command": [row("list all", "ls -a", "ls --all"), row("find boats", "find . -name boat"), row("stop", "halt")],
    "query": [
        row("which boat", "SELECT BOAT FROM TABLE WHERE BERTH = 4 ;"),
        row("how many", "SELECT COUNT BOAT FROM TABLE WHERE BERTH > 4 ;"),
    ],
    "style": [row("Which way?", "north by the buoy"), row("And then?", "north again by the next buoy")],
}
KINDS = tuple(ROWS)
TRIVIAL: dict[str, dict[str, float]] = {
    "frame": {"frame_match": 2 / 3, "slot_f1": 2 / 3},
    "label": {"accuracy": 2 / 3, "macro_f1": 0.4},
    "correction": {"exact_match": 0},
    "split": {"two_sentence_rate": 0, "words_kept": 1, "exact_match": 0},
    "coverage": {"slot_coverage": 1},
    "translation": {"copy_rate": 1},
    "command": {"first_utility": 1 / 3, "flag_f1": 1 / 3},
    "query": {"structure": 1 / 2, "aggregate": 1 / 2, "operators": 1 / 2, "exact_match": 0},
    "style": {"copy_rate": 0},
}


def work(kind: str) -> Work:
    return style_work(VOICE) if kind == "style" else WORKS[kind]


def firsts(rows: Sequence[Row]) -> list[str]:
    return [row.replies[0] for row in rows]


def member(root: Path, **training: object) -> Member:
    write_persona(root, "pilot", "crew", training={**TRAINING, **training})
    write_persona(root, "clerk", "desk")
    write_catalogue(root, {"crew": ["pilot"], "desk": ["clerk"]}, fallback="clerk")
    return Catalogue.load(root).get("pilot")


def test_every_metric_that_a_persona_may_name_has_a_work() -> None:
    named = typing.get_args(Training.model_fields["metric"].annotation)
    assert set(named) == {*WORKS, "style"} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
class TestEveryWork:
    def test_accepted_replies_earn_everything(self, kind: str) -> None:
        scores = work(kind).score(firsts(ROWS[kind]), ROWS[kind])
        floors = {"copy_chrf", "words_kept"} | ({"copy_rate"} if kind in ("translation", "style") else set())
        assert {name: score for name, score in scores.items() if name not in floors} == {
            name: pytest.approx(1) for name in scores if name not in floors
        }
        assert scores.get("copy_chrf", 0.5) < 1

    def test_the_trivial_statements_earn_what_they_should(self, kind: str) -> None:
        found = work(kind).trivial(ROWS[kind])
        assert list(found) == list(work(kind).metrics)
        assert {name: found[name] for name in TRIVIAL[kind]} == pytest.approx(TRIVIAL[kind])
        if "chrf" in found:
            assert found["chrf"] < 1
            assert found["chrf"] == found.get("copy_chrf", found["chrf"])

    @given(data=st.data())
    def test_every_figure_is_a_share_whatever_is_said(self, kind: str, data: st.DataObject) -> None:
        rows = ROWS[kind]
        likely = st.sampled_from([*firsts(rows), *(row.input for row in rows)])
        said = data.draw(st.lists(likely | st.text(max_size=20), min_size=len(rows), max_size=len(rows)))
        assert all(0 <= score <= 1 for score in work(kind).score(said, rows).values())
        for name in work(kind).metrics:
            earned = work(kind).with_headline(name).per_row(said, rows)
            assert len(earned) == len(rows)
            assert all(0 <= share <= 1 for share in earned)

    def test_rows_earn_on_average_what_the_corpus_does(self, kind: str) -> None:
        rows = ROWS[kind]
        said = [rows[0].replies[-1], *work(kind).trivial_statements(rows)[1:]]
        scores = work(kind).score(said, rows)
        for name, metric in work(kind).metrics.items():
            earned = work(kind).with_headline(name).per_row(said, rows)
            if metric.whole is None or name == "style_accuracy":
                assert sum(earned) / len(rows) == pytest.approx(scores[name])

    def test_each_figure_says_what_it_is_a_share_of(self, kind: str) -> None:
        assert work(kind).headline in work(kind).metrics
        assert all(len(metric.meaning) > 10 for metric in work(kind).metrics.values())

    def test_one_statement_is_needed_for_each_row(self, kind: str) -> None:
        for statements, rows in (([], []), (["x"], ROWS[kind]), (firsts(ROWS[kind]), ROWS[kind][:1])):
            with pytest.raises(BadRows, match=f"{len(statements)} statements on {len(rows)} rows"):
                work(kind).score(statements, rows)
            with pytest.raises(BadRows, match="one statement for each row"):
                work(kind).per_row(statements, rows)


def test_what_was_phrased_is_copied_without_its_phrasing() -> None:
    (asked, *_) = rows = ROWS["translation"]
    assert WORKS["translation"].score([row.input for row in rows], rows)["copy_rate"] == 1.0
    assert WORKS["translation"].score([row.request for row in rows], rows)["copy_rate"] == 0.0
    plain = Row(request=asked.input, replies=asked.replies)
    assert WORKS["translation"].trivial([plain]) == WORKS["translation"].trivial([asked])


def test_chrf_of_a_row_is_that_of_its_sentence() -> None:
    (asked, *_) = ROWS["split"]
    assert WORKS["split"].per_row(["It came ."], [asked]) == [chrf("It came .", asked.replies)]


class TestWorkOfAMember:
    def test_the_work_is_the_one_that_its_persona_names(self, tmp_path: Path) -> None:
        assert work_of(member(tmp_path, metric="query")) == WORKS["query"]
        assert list(work_of(member(tmp_path, metric="style"), VOICE).metrics) == ["style_accuracy", "copy_rate"]

    def test_a_persona_may_ask_for_another_headline(self, tmp_path: Path) -> None:
        assert work_of(member(tmp_path, metric="label")).headline == "accuracy"
        rare = work_of(member(tmp_path, metric="label", headline="macro_f1"))
        assert rare.headline == "macro_f1"
        assert rare.metrics == WORKS["label"].metrics

    def test_a_headline_of_another_work_is_refused(self, tmp_path: Path) -> None:
        asked = member(tmp_path, metric="command", headline="macro_f1")
        with pytest.raises(BadPersona, match=r"'macro_f1' is no metric .* one of chrf, first_utility, flag_f1"):
            work_of(asked)

    def test_a_member_that_cannot_be_scored_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(BadRows, match="'pilot' has metric 'style' and its voice is None"):
            work_of(member(tmp_path, metric="style"))
        with pytest.raises(BadRows, match="'clerk' has metric None"):
            work_of(Catalogue.load(tmp_path).get("clerk"))


# What ../shared/data/README.md says of trivial statements, in percent; its chrF is the mean of sentence chrF.
README = {
    "proofreader": ("correction", "chrf", 86.3),
    "editor": ("split", "chrf", 84.4),
    "copywriter": ("coverage", "chrf", 51.6),
    "translator": ("translation", "chrf", 14.1),
    "empath": ("label", "accuracy", 39.0),
    "logician": ("label", "accuracy", 35.5),
    "librarian": ("label", "accuracy", 9.3),
    "operator": ("command", "first_utility", 57.6),
    "dispatcher": ("frame", "frame_match", None),
    "analyst": ("query", "structure", None),
}


@pytest.mark.skipif(not HOUSE.is_dir(), reason=f"the members' data is not at {HOUSE}")
@pytest.mark.parametrize("name", README)
def test_on_the_members_own_data_references_and_trivial_statements_earn_what_is_known(name: str) -> None:
    kind, metric, percent = README[name]
    rows = read_split(HOUSE / name, RowsSpec(requests=("Please: {input}",))).test
    scored = WORKS[kind].with_headline(metric)
    # One editor's reference in 130 is not two sentences, and they leave out one word in 15; annotators left out one
    # attribute in 14.
    below = {"two_sentence_rate": 0.99, "words_kept": 0.93, "slot_coverage": 0.92}
    for figure, score in scored.score(firsts(rows), rows).items():
        if not figure.startswith("copy"):
            assert below.get(figure, 1.0) <= score <= 1.0, figure
    if percent is not None:
        earned = scored.per_row(scored.trivial_statements(rows), rows)
        # One command starts with sudo, which the README's count took for a utility.
        assert 100 * sum(earned) / len(earned) == pytest.approx(percent, abs=0.31 if name == "operator" else 0.051)
