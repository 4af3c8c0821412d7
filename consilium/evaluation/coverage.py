"""Coverage: which attributes of a meaning representation a statement realises, by patterns."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from consilium.errors import BadRows

_ATTRIBUTE = re.compile(
    r"(?<!\w)(name|eatType|food|priceRange|customer rating|area|familyFriendly|near)\s*\[([^\]]*)\]", re.IGNORECASE
)
_AREAS = {"riverside": r"\briver", "city centre": r"\bcent(?:re|er)\b|\bcentral"}
_PRICES = {
    "low": ("cheap", "less than £20"),
    "middle": ("moderate", "average", "£20-25"),
    "high": ("high", "expensive", "more than £30"),
}
_RATINGS = {"low": ("low", "1 out of 5"), "middle": ("average", "3 out of 5"), "high": ("high", "5 out of 5")}
_LEVELS = {
    "low": r"low(?:er|est|ly)?|poor(?:ly)?|bad(?:ly)?|negative",
    "middle": r"average(?:ly)?|moderate(?:ly)?|mid(?:dle)?|medium|middling|okay|decent|reasonable",
    "high": r"high(?:er|est|ly)?|excellent|great|top",
}
_PRICE_WORD = r"(?:pric(?:e|es|ed|ing)|costs?)"
_RATING_WORD = r"(?:rat(?:ed|ing|ings)|reviews?|reviewed|feedback|satisfaction)"
_PRICE_PHRASES = {
    "low": r"\b(?:cheap|inexpensive|affordable)|\b(?:less than|under|below)\s*[£$]?\s*(?:20\b|twenty)",
    "middle": r"\bmoderate|\bmid(?:dle)?[- ]?(?:price|range)|\b20\s*[£$]?\s*(?:-|to|and)\s*[£$]?\s*25\b",
    "high": r"\b(?:expensive|costly|pricey|up-?market)|\b(?:more than|over|above)\s*[£$]?\s*(?:30\b|thirty)",
}
_STARS = {"low": "(?:1|one)", "middle": "(?:3|three)", "high": "(?:5|five)"}
_OUT_OF_FIVE = r"(?:\s*/\s*5|[ -](?:out[ -])?of[ -](?:5|five)|[ -]stars?)\b"
_CHILDREN = r"(?:famil|kid|child)"
_NO = r"(?:\b(?:not?|non|never|without|unsuitable|unfriendly)\b|\b\w+n['\u2019]t\b)"
_NOT_FOR_CHILDREN = (
    rf"{_NO}(?:[ -]+\w+){{0,4}}?[ -]+{_CHILDREN}",  # "does not openly welcome families", "non-family-friendly"
    rf"\b{_CHILDREN}\w*(?:[ -]friendly)?[ ,:-]+(?:(?:is|are) +)?{_NO}",  # "families are not welcome"
    r"\badult",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One slot of a meaning representation, and what it should say."""

    name: str
    """One of name, eattype, food, pricerange, customer rating, area, familyfriendly, near."""
    value: str


def attributes(text: str) -> list[Attribute]:
    """Return the attributes that stand in a request, whatever stands around them.

    >>> [attribute.value for attribute in attributes("Describe it: name[The Mill], area[riverside]. Be brief.")]
    ['The Mill', 'riverside']
    """
    return [Attribute(name=name.lower(), value=value.strip()) for name, value in _ATTRIBUTE.findall(text)]


def realises(statement: str, attribute: Attribute) -> bool:
    """Return whether the statement says what the attribute says, by a pattern for its kind, case aside.

    * name, near, eatType, food: the value itself, as whole words.
    * area: "river" for riverside, "centre", "center" or "central" for the city centre, or else the value.
    * priceRange: the value, a phrase of its level ("cheap", "under 20", "£20-25", "expensive", "over £30"), or a word
      for its level by a word for price ("low prices", "the price range is high").
    * customer rating: the value, its figure in digits or words ("5 of 5", "one star"), or a word for its level by a
      word for rating. 1 counts as low, 3 as average, 5 as high.
    * familyFriendly: families, kids or children are mentioned; for "no" with a negation beside them, or adults are.

    As in the slot matching of Dušek, Howcroft and Rieser 2019 ("Semantic Noise Matters for Neural NLG", arXiv
    1911.03905), with patterns of our own. A pattern finds a mention, not its truth: "no river" realises the riverside.

    >>> realises("It is not a place for kids.", Attribute(name="familyfriendly", value="no"))
    True
    >>> realises("A cheap pub with a high customer rating.", Attribute(name="pricerange", value="high"))
    False
    """
    return _TESTS.get(attribute.name, _literally)(statement, attribute.value)


def slot_coverage(statement: str, request: str) -> float:
    """Return the share, from 0 to 1, of the request's attributes that the statement `realises`.

    One minus the part of the slot error rate that counts what is missing (Wen et al. 2015, arXiv 1508.01745);
    what is said beyond the request is not counted. The request itself covers most of its own attributes, and a
    list of them is no sentence: read it beside chrF.

    Raises:
        BadRows: the request holds no attribute.

    >>> slot_coverage("The Mill is a pub.", "name[The Mill], eatType[pub], food[French], area[riverside]")
    0.5
    """
    wanted = attributes(request)
    if not wanted:
        raise BadRows(
            f"{request!r:.80} holds no attribute such as name[..] or food[..]. Give a meaning representation."
        )
    return sum(realises(statement, attribute) for attribute in wanted) / len(wanted)


def _literally(statement: str, value: str) -> bool:
    words = r"\s+".join(map(re.escape, value.split()))
    return bool(words) and _found(rf"(?<!\w){words}(?!\w)", statement)


def _in_area(statement: str, value: str) -> bool:
    pattern = _AREAS.get(value.lower())
    return _found(pattern, statement) if pattern else _literally(statement, value)


def _priced(statement: str, value: str) -> bool:
    level = _level(value, _PRICES)
    if level is None:
        return _literally(statement, value)
    return _found(_PRICE_PHRASES[level], statement) or _found(_beside(level, _PRICE_WORD), statement)


def _rated(statement: str, value: str) -> bool:
    level = _level(value, _RATINGS)
    if level is None:
        return _literally(statement, value)
    stars = rf"\b{_STARS[level]}{_OUT_OF_FIVE}"
    return _found(stars, statement) or _found(_beside(level, _RATING_WORD), statement)


def _for_families(statement: str, value: str) -> bool:
    negated = any(_found(pattern, statement) for pattern in _NOT_FOR_CHILDREN)
    return negated if value.lower() == "no" else _found(rf"\b{_CHILDREN}", statement) and not negated


def _level(value: str, levels: Mapping[str, tuple[str, ...]]) -> str | None:
    return next((level for level, values in levels.items() if value.lower() in values), None)


def _beside(level: str, subject: str) -> str:
    """Return a pattern for a word of the level beside its subject, with at most three other words between them."""
    others = rf"{'|'.join(_LEVELS.values())}|{_PRICE_WORD}|{_RATING_WORD}|and|but|with|yet"
    between = rf"(?:[ -]+(?!(?:{others})\b)[\w'\u2019]+){{0,3}}?[ :-]+"
    word = rf"(?:{_LEVELS[level]})"
    return rf"\b{word}{between}{subject}\b|\b{subject}{between}{word}\b"


def _found(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None


_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "area": _in_area,
    "pricerange": _priced,
    "customer rating": _rated,
    "familyfriendly": _for_families,
}
