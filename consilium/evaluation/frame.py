"""Frames, an intent and its slots as JSON: whole, and slot by slot."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from consilium.errors import BadRows
from consilium.evaluation.texts import check_references, multiset_f1, spaced


def frame_match(statement: str, references: Sequence[str]) -> float:
    """Return 1 where the statement is a frame equal to a reference: the intent and every slot; else 0.

    A frame is a JSON object ``{"intent": .., slot: value, ..}``; the order of its keys and runs of white space in its
    values do not matter. Text around the object does: it is then no JSON and scores 0. Called sentence accuracy or
    semantic frame accuracy elsewhere (Goo et al. 2018, "Slot-Gated Modeling").

    Raises:
        BadRows: there is no reference, or one of them is no frame.

    >>> frame_match('{"berth": "4", "intent": "Moor"}', ['{"intent": "Moor", "berth": "4"}'])
    1.0
    >>> frame_match('Sure: {"intent": "Moor"}', ['{"intent": "Moor"}'])
    0.0
    """
    return float(_frame(statement) in _reference_frames(references))


def slot_f1(statement: str, references: Sequence[str]) -> float:
    """Return the F1 of the statement's slots, that is (slot, value) pairs without the intent, at the best reference.

    As in the CoNLL-2000 evaluation (Tjong Kim Sang and Buchholz 2000) a slot counts where name and value both agree.
    Where both frames hold no slot it is 1; a statement that is no frame scores 0.

    Raises:
        BadRows: there is no reference, or one of them is no frame.

    >>> slot_f1('{"intent": "Moor", "berth": "4"}', ['{"intent": "Moor", "berth": "4", "hour": "nine"}'])
    0.6666666666666666
    >>> slot_f1('{"intent": "Moor", "berth"', ['{"intent": "Moor", "berth": "4"}'])
    0.0
    """
    frames = _reference_frames(references)
    said = _frame(statement)
    return 0.0 if said is None else max(multiset_f1(_slots(said), _slots(frame)) for frame in frames)


def _frame(text: str) -> dict[str, str] | None:
    """Return the frame that ``text`` is, its values as text with single spaces, or None."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(frame, dict) or "intent" not in frame:
        return None
    return {slot: spaced(value if isinstance(value, str) else json.dumps(value)) for slot, value in frame.items()}


def _reference_frames(references: Sequence[str]) -> list[dict[str, str]]:
    check_references(references)
    frames = []
    for reference in references:
        if (frame := _frame(reference)) is None:
            raise BadRows(f"reference {reference!r:.80} is no frame: a JSON object with an intent. Correct the row.")
        frames.append(frame)
    return frames


def _slots(frame: Mapping[str, str]) -> Counter[tuple[str, str]]:
    return Counter((slot, value) for slot, value in frame.items() if slot != "intent")
