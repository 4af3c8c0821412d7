"""`vote`: the answer that most of the router's weight stands behind."""

import json
import unicodedata
from collections.abc import Sequence

from consilium.deliberation.opinion import Conclusion, Opinion

_AROUND = "\"'()[].,;:!?\u2018\u2019\u201c\u201d"
"""Punctuation that may stand around a word without changing the answer."""


def vote(opinions: Sequence[Opinion]) -> Conclusion:
    """Count opinions with the same normal form together, each by its seat's weight; the heaviest answer wins.

    Of equally heavy answers the one with the lowest seat wins, which is the one the router trusts most. The words are
    those of the winners' lowest seat.

    >>> a, b, c = (Opinion(seat=i, member="m", weight=w, text=t) for i, w, t in
    ...            [(0, 0.4, "Oslo"), (1, 0.35, "Bergen."), (2, 0.25, " bergen")])
    >>> vote([a, b, c]).text, round(vote([a, b, c]).agreement, 2), vote([a, b, c]).dissent
    ('Bergen.', 0.6, (0,))
    """
    camps: dict[str, list[Opinion]] = {}
    for opinion in sorted(opinions, key=lambda opinion: opinion.seat):
        camps.setdefault(normal_form(opinion.text), []).append(opinion)
    # Rounding keeps a tie a tie: sums of the same weights in another order differ in the last bits.
    winners = max(camps.values(), key=lambda camp: (round(sum(o.weight for o in camp), 9), -camp[0].seat))
    return tally(opinions, winners[0])


def tally(opinions: Sequence[Opinion], chosen: Opinion) -> Conclusion:
    """Return the conclusion in the words of ``chosen``, with who agrees and who does not."""
    form = normal_form(chosen.text)
    agreeing = [opinion for opinion in opinions if normal_form(opinion.text) == form]
    total = sum(opinion.weight for opinion in opinions)
    return Conclusion(
        text=chosen.text,
        source_seat=chosen.seat,
        agreement=sum(opinion.weight for opinion in agreeing) / total if total else len(agreeing) / len(opinions),
        dissent=tuple(sorted(opinion.seat for opinion in opinions if opinion not in agreeing)),
    )


def normal_form(text: str) -> str:
    """Return what two texts share if they give the same answer.

    JSON objects compare by value, whatever the order of their keys. All else compares by its words: case, white space
    and the punctuation around words do not count. There is none that a seat could say and that has no normal form.

    >>> normal_form(' {"b": 1, "a": 2}') == normal_form('{"a":2,"b":1}')
    True
    >>> normal_form("Yes, indeed!")
    'yes indeed'
    >>> normal_form("ls -l *.txt") == normal_form("ls -l .txt")
    False
    """
    try:
        value = json.loads(text)
        if isinstance(value, dict | list):
            return json.dumps(value, sort_keys=True, ensure_ascii=False)
    except (ValueError, RecursionError):  # no JSON, or nested more deeply than Python reads or writes
        pass
    words = unicodedata.normalize("NFKC", text).casefold().split()
    bare = [word.strip(_AROUND) for word in words]
    return " ".join(word for word in bare if word)
