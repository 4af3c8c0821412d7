"""Frames: whole, and slot by slot."""

from collections.abc import Callable, Sequence

import pytest

from consilium.errors import BadRows
from consilium.evaluation.frame import frame_match, slot_f1

Metric = Callable[[str, Sequence[str]], float]
FRAME = '{"intent": "Moor", "berth": "4", "boat": "Sea Mew"}'


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
