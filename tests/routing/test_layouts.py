"""Layouts: all that was said is still there, in another form."""

import json
import re
from random import Random

import pytest

from consilium.routing.layouts import LAYOUTS, fields_of, laid_out

REQUESTS = (
    "Premise: A man, tired, sleeps.\nHypothesis: He is awake.",
    "name[The Plough], food[Thai], near[Rosie's]",
    'Which "files" are larger than a megabyte?',
    "Title: A boat\nText:  A boat is a vessel.\n",
)


def letters(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


@pytest.mark.parametrize("request_text", REQUESTS)
@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"typos"}))
def test_every_word_survives_in_another_form(layout: str, request_text: str) -> None:
    anew = laid_out(request_text, layout, Random(0))
    assert letters(" ".join(fields_of(request_text).values())) - {"rosie", "s"} <= letters(anew) | {"s"}
    assert anew != request_text


def test_layouts_differ_from_each_other() -> None:
    for request_text in REQUESTS[:2]:
        texts = [laid_out(request_text, layout, Random(0)) for layout in LAYOUTS]
        assert len(set(texts)) == len(texts)


def test_json_is_json_and_csv_keeps_its_quotes() -> None:
    assert json.loads(laid_out(REQUESTS[0], "json", Random(0)))["Hypothesis"] == "He is awake."
    assert laid_out(REQUESTS[2], "csv", Random(0)) == 'text\n"Which ""files"" are larger than a megabyte?"'


def test_typing_errors_fall_into_some_words_and_are_drawn_from_the_chance_given() -> None:
    text = " ".join(f"harbour{number}" for number in range(400))
    once, again, other = (laid_out(text, "typos", Random(seed)) for seed in (1, 1, 2))
    assert once == again != other
    changed = sum(a != b for a, b in zip(text.split(), once.split(), strict=True))
    assert 20 < changed < 70


@pytest.mark.parametrize("text", ["", " ", "Note: one line only", "a[b] and more", "Premise: x\nand a line without"])
def test_what_has_no_named_parts_is_one_text(text: str) -> None:
    assert fields_of(text) == {"text": text.strip()}
