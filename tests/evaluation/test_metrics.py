"""Metrics: known values, bounds, and rows that cannot be scored on."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF

from consilium.errors import BadRows, MissingExtra
from consilium.evaluation.metrics import (
    chrf,
    copy_rate,
    corpus_chrf,
    exact_match,
    first_utility,
    first_utility_match,
    frame_match,
    slot_f1,
)

Metric = Callable[[str, Sequence[str]], float]
METRICS: tuple[Metric, ...] = (chrf, exact_match, first_utility_match, frame_match, slot_f1, copy_rate)
FRAME = '{"intent": "Moor", "berth": "4", "boat": "Sea Mew"}'


@pytest.mark.parametrize("metric", METRICS)
@given(statement=st.text(max_size=40), copied=st.booleans())
def test_a_score_is_a_share_for_whatever_a_seat_says(metric: Metric, statement: str, copied: bool) -> None:
    frames = metric in (frame_match, slot_f1)
    references = [statement if copied and not frames else FRAME]
    assert 0.0 <= metric(statement, references) <= 1.0


@pytest.mark.parametrize("metric", [chrf, exact_match, first_utility_match, frame_match, slot_f1])
@pytest.mark.parametrize("references", [[], (), "a text in the place of a list"])
def test_a_row_without_a_list_of_references_is_refused(metric: Metric, references: Sequence[str]) -> None:
    with pytest.raises(BadRows, match="references="):
        metric("a statement", references)


class TestChrf:
    def test_it_is_sacrebleu_s_figure_as_a_share(self) -> None:
        references = ["the boat lay at the quay", "a boat was at the quay"]
        expected = CHRF().sentence_score("the boat was at a quay", references).score / 100
        assert 0 < expected < 1
        assert chrf("the boat was at a quay", references) == expected

    def test_without_sacrebleu_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "sacrebleu.metrics.chrf", None)
        with pytest.raises(MissingExtra, match=r"pip install 'consilium\[eval\]'"):
            chrf("a", ["b"])

    def test_the_nearest_reference_counts(self) -> None:
        near, far = "the boat lay at the quay", "fees are due at noon"
        assert chrf("a boat lay at the quay", [far, near]) == chrf("a boat lay at the quay", [near])

    def test_rows_of_a_corpus_may_differ_in_their_number_of_references(self) -> None:
        statements = ["the boat lay there", "fees at noon"]
        both = corpus_chrf(statements, [["a boat lay here"], ["quite another thing", "fees are due at noon"]])
        nearest = corpus_chrf(statements, [["a boat lay here"], ["fees are due at noon"]])
        assert both == pytest.approx(nearest)
        assert 0 < both < 1

    def test_a_corpus_is_not_the_mean_of_its_rows(self) -> None:
        statements, references = ["x", "the boat lay at the quay"], [["y"], ["the boat lay at the quay"]]
        assert corpus_chrf(statements, references) > 0.9

    @pytest.mark.parametrize(
        ("statements", "references"), [([], []), (["a"], []), (["a"], [["a"], ["b"]]), (["a"], [[]])]
    )
    def test_a_corpus_that_does_not_fit_together_is_refused(
        self, statements: list[str], references: list[list[str]]
    ) -> None:
        with pytest.raises(BadRows):
            corpus_chrf(statements, references)


class TestExactMatch:
    @pytest.mark.parametrize(
        ("statement", "score"), [("two\n boats ", 1), ("one boat", 1), ("two boats.", 0), ("", 0), ("twoboats", 0)]
    )
    def test_only_white_space_is_forgiven(self, statement: str, score: float) -> None:
        assert exact_match(statement, ["one boat", "two boats"]) == score


class TestFirstUtility:
    @pytest.mark.parametrize(
        ("command", "utility"),
        [
            ("find . -type f", "find"),
            ("  ls|wc -l", "ls"),
            ("sudo apt-get update", "apt-get"),
            ("sudo -u www-data -E tail -f log", "tail"),
            ("env -i -u HOME LANG=C sort names", "sort"),
            ("A=1 B='two words' C+=3 make all", "make"),
            ("TODAY=$(date +%F) touch x", "date"),
            ("/usr/bin/env python3 -V", "python3"),
            ("/bin/ls", "ls"),
            ("\\ls -l", "ls"),
            ("(cd /srv; ls)", "cd"),
            ("! { grep -q x y; }", "grep"),
            ("$(which tar) -xf a.tar", "which"),
            ("find . -name 'never closed", "find"),
            ("sudo", ""),
            ("A=1", ""),
            ("", ""),
            ("'", ""),
        ],
    )
    def test_prefixes_are_passed_over(self, command: str, utility: str) -> None:
        assert first_utility(command) == utility

    def test_nothing_is_run(self, tmp_path: Path) -> None:
        canary = tmp_path / "canary"
        command = f"$(touch {canary}) ; `touch {canary}` ; touch {canary}"
        assert first_utility(command) == "touch"
        assert first_utility_match(command, [command]) == 1.0
        assert not canary.exists()

    def test_a_statement_without_a_utility_matches_nothing(self) -> None:
        assert first_utility_match("A=1", ["B=2"]) == 0.0

    def test_any_reference_will_do(self) -> None:
        assert first_utility_match("sudo ls -a", ["find .", "ls"]) == 1.0
        assert first_utility_match("lsof", ["find .", "ls"]) == 0.0


class TestFrames:
    @pytest.mark.parametrize(
        ("statement", "match", "f1"),
        [
            (FRAME, 1, 1),
            ('{"boat": "Sea  Mew", "berth": "4", "intent": "Moor"}', 1, 1),
            ('{"intent": "Moor", "berth": 4, "boat": "Sea Mew"}', 1, 1),
            ('{"intent": "Leave", "berth": "4", "boat": "Sea Mew"}', 0, 1),
            ('{"intent": "Moor", "berth": "5", "boat": "Sea Mew"}', 0, 1 / 2),
            ('{"intent": "Moor", "berth": "4"}', 0, 2 / 3),
            ('{"intent": "Moor", "berth": "4", "boat": "Sea Mew", "hour": "1", "day": "2"}', 0, 2 / 3),
            ('{"intent": "Moor", "boat": "4", "berth": "Sea Mew"}', 0, 0),
            ('{"intent": "Moor", "berth": ["4"], "boat": {"name": "Sea Mew"}}', 0, 0),
            ('{"berth": "4", "boat": "Sea Mew"}', 0, 0),
            (FRAME[:-1], 0, 0),
            (FRAME + " ", 1, 1),
            (f"```{FRAME}```", 0, 0),
            ("[]", 0, 0),
            ("null", 0, 0),
            ("[" * 50_000, 0, 0),
            ("", 0, 0),
        ],
    )
    def test_known_values(self, statement: str, match: float, f1: float) -> None:
        assert frame_match(statement, [FRAME]) == match
        assert slot_f1(statement, [FRAME]) == pytest.approx(f1)

    def test_frames_without_slots_agree_on_them(self) -> None:
        assert slot_f1('{"intent": "Leave"}', ['{"intent": "Moor"}']) == 1.0
        assert slot_f1('{"intent": "Leave", "berth": "4"}', ['{"intent": "Moor"}']) == 0.0

    def test_the_best_reference_counts(self) -> None:
        references = ['{"intent": "Leave"}', FRAME]
        assert (frame_match(FRAME, references), slot_f1(FRAME, references)) == (1.0, 1.0)

    @pytest.mark.parametrize("metric", [frame_match, slot_f1])
    def test_a_reference_that_is_no_frame_is_refused(self, metric: Metric) -> None:
        with pytest.raises(BadRows, match=r"reference 'find .' is no frame"):
            metric(FRAME, [FRAME, "find ."])


class TestCopyRate:
    def test_known_values(self) -> None:
        source = "At nine the pilot steered north."
        assert copy_rate("at NINE the pilot, steered north", [source]) == 1.0
        assert copy_rate("at nine the pilot steered south", [source]) == pytest.approx(2 / 3)
        assert copy_rate("at nine the mate steered north", [source]) == 0.0

    def test_an_n_gram_does_not_run_over_the_border_of_two_sources(self) -> None:
        assert copy_rate("one two three four", ["one two", "three four"]) == 0.0

    def test_its_length_can_be_chosen(self) -> None:
        assert copy_rate("one two five", ["one two three"], words=2) == 0.5
        assert copy_rate("", ["one"], words=1) == 0.0
