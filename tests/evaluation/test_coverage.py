"""Coverage: the attributes of a meaning representation, found in statements."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.errors import BadRows
from consilium.evaluation.coverage import Attribute, attributes, realises, slot_coverage

VALUES = {
    "name": ["The Sea Mew", "Tides"],
    "eatType": ["pub", "coffee shop"],
    "food": ["Cornish", "Fast food"],
    "priceRange": ["cheap", "less than £20", "moderate", "£20-25", "high", "more than £30"],
    "customer rating": ["low", "1 out of 5", "average", "3 out of 5", "high", "5 out of 5"],
    "area": ["riverside", "city centre"],
    "near": ["Quay (North)"],
}
representations = st.fixed_dictionaries({}, optional={name: st.sampled_from(found) for name, found in VALUES.items()})


def said(statement: str, name: str, value: str) -> bool:
    return realises(statement, Attribute(name=name.lower(), value=value))


class TestAttributes:
    def test_they_are_found_inside_a_request(self) -> None:
        request = "Advertise this place.\nname[The Sea Mew], customer rating[5 out of 5],food[Cornish] Thank you [all]."
        found = [(attribute.name, attribute.value) for attribute in attributes(request)]
        assert found == [("name", "The Sea Mew"), ("customer rating", "5 out of 5"), ("food", "Cornish")]

    @pytest.mark.parametrize("request_", ["", "Describe a pub.", "surname[Penrose], berth[4]"])
    def test_a_request_without_any_cannot_be_scored_on(self, request_: str) -> None:
        assert attributes(request_) == []
        with pytest.raises(BadRows, match="holds no attribute"):
            slot_coverage("A pub.", request_)


@pytest.mark.parametrize("name", ["name", "near", "food", "eatType"])
@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("At the Sea  Mew.", True),
        ("THE SEA MEW serves", True),
        ("'The Sea Mew'", True),
        ("The Sea Mews", False),
        ("The Mew", False),
    ],
)
def test_names_are_taken_literally(name: str, statement: str, found: bool) -> None:
    assert said(statement, name, "The Sea Mew") is found


@pytest.mark.parametrize(
    ("value", "statement", "found"),
    [
        ("riverside", "It lies by the river.", True),
        ("riverside", "A riverside pub", True),
        ("riverside", "The driver knows it", False),
        ("city centre", "in the center of the city", True),
        ("city centre", "in the City Centre", True),
        ("city centre", "in the city", False),
        ("Harbour", "down at the harbour", True),
        ("Harbour", "by the river", False),
    ],
)
def test_areas_have_their_variants(value: str, statement: str, found: bool) -> None:
    assert said(statement, "area", value) is found


@pytest.mark.parametrize(
    ("level", "statement"),
    [
        ("low", "a cheap pub"),
        ("low", "it has low prices"),
        ("low", "a low-priced pub"),
        ("low", "its price range is low"),
        ("low", "less than £20"),
        ("low", "for under twenty pounds"),
        ("low", "inexpensive"),
        ("middle", "a moderately priced pub"),
        ("middle", "a mid-price pub"),
        ("middle", "prices are average"),
        ("middle", "for £20-25"),
        ("middle", "between £20 and £25"),
        ("high", "an expensive pub"),
        ("high", "the price range is quite high"),
        ("high", "a high priced pub"),
        ("high", "more than £30"),
        ("high", "it costs over 30 pounds"),
        ("none", "a pub with a high customer rating"),
        ("none", "highly rated and on a low street"),
        ("none", "well priced with low reviews"),
        ("none", "over 300 boats"),
        ("none", ""),
    ],
)
def test_prices_are_told_by_level_and_not_from_ratings(level: str, statement: str) -> None:
    levels = {"cheap": "low", "less than £20": "low", "moderate": "middle", "£20-25": "middle", "high": "high"}
    levels["more than £30"] = "high"
    for value, own in levels.items():
        assert said(statement, "priceRange", value) is (own == level), value


@pytest.mark.parametrize(
    ("level", "statement"),
    [
        ("low", "rated 1 out of 5"),
        ("low", "a one star pub"),
        ("low", "a low customer rating"),
        ("low", "poorly rated"),
        ("low", "customers give it low reviews"),
        ("middle", "3/5"),
        ("middle", "it is rated three out of five"),
        ("middle", "its customer rating is average"),
        ("high", "a 5-star pub"),
        ("high", "5 of 5"),
        ("high", "highly rated by customers"),
        ("high", "excellent customer reviews"),
        ("none", "a high price range"),
        ("none", "a rating, and the prices are high"),
        ("none", "well rated and low priced"),
        ("none", "15 out of 50 boats"),
        ("none", ""),
    ],
)
def test_ratings_are_told_by_figure_or_word_and_not_from_prices(level: str, statement: str) -> None:
    for own, value in (("low", "low"), ("middle", "average"), ("high", "high")):
        assert said(statement, "customer rating", value) is (own == level), value
    for own, value in (("low", "1 out of 5"), ("middle", "3 out of 5"), ("high", "5 out of 5")):
        assert said(statement, "customer rating", value) is (own == level), value


@pytest.mark.parametrize(("name", "value"), [("priceRange", "by the tide"), ("customer rating", "4 out of 5")])
def test_a_value_of_no_level_is_taken_literally(name: str, value: str) -> None:
    assert said(f"Rather {value.upper()}, they say.", name, value)
    assert not said("a high price and a high rating", name, value)


@pytest.mark.parametrize(
    ("statement", "yes", "no"),
    [
        ("a family-friendly pub", True, False),
        ("It is kid friendly.", True, False),
        ("children are welcome", True, False),
        ("not a big pub. Families love it", True, False),
        ("It is child friendly but not cheap", True, False),
        ("It is not family-friendly.", False, True),
        ("It isn't child friendly", False, True),
        ("They don\u2019t openly welcome families", False, True),
        ("a non-family-friendly pub", False, True),
        ("no children", False, True),
        ("unsuitable for kids", False, True),
        ("Families are not welcome", False, True),
        ("Children friendly: no.", False, True),
        ("an adult-only pub", False, True),
        ("a pub", False, False),
        ("", False, False),
    ],
)
def test_who_may_come_is_told_with_its_negation(statement: str, yes: bool, no: bool) -> None:
    assert said(statement, "familyFriendly", "yes") is yes
    assert said(statement, "familyFriendly", "no") is no


PUB = {
    "name": "The Sea Mew",
    "eatType": "pub",
    "food": "Cornish",
    "priceRange": "less than £20",
    "customer rating": "average",
    "area": "riverside",
    "familyFriendly": "no",
    "near": "Tides",
}


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        (
            "The Sea Mew is a cheap Cornish pub by the river near Tides. Customers rate it 3 out of 5, and it is not "
            "family-friendly.",
            set(),
        ),
        (
            "Near Tides, on the riverside, adults find Cornish food for under £20 at The Sea Mew, a pub with an "
            "average customer rating.",
            set(),
        ),
        (
            "The Sea Mew is a family-friendly pub near Tides. It serves Cornish food in the city centre, its prices "
            "are average and its customer rating is high.",
            {"priceRange", "customer rating", "area", "familyFriendly"},
        ),
        (
            "By the river lies a pub. It is low rated, but the prices are high, and no kids come.",
            {"name", "food", "priceRange", "customer rating", "near"},
        ),
        ("The Sea Mew.", set(PUB) - {"name"}),
        ("I do not know.", set(PUB)),
    ],
)
def test_whole_statements_are_searched_for_every_attribute(statement: str, missing: set[str]) -> None:
    assert {name for name, value in PUB.items() if not said(statement, name, value)} == missing
    request = ", ".join(f"{name}[{value}]" for name, value in PUB.items())
    assert slot_coverage(statement, request) == pytest.approx(1 - len(missing) / len(PUB))


class TestSlotCoverage:
    def test_it_is_the_share_of_the_attributes(self) -> None:
        request = "Say it well: name[The Sea Mew], eatType[pub], area[riverside], familyFriendly[no]"
        assert slot_coverage("The Sea Mew is a pub by the river, for adults.", request) == 1.0
        assert slot_coverage("A riverside pub for all the family", request) == 0.5
        assert slot_coverage("", request) == 0.0

    @given(representation=representations.filter(bool), before=st.text(" abc", max_size=10))
    def test_a_list_of_what_is_asked_covers_it(self, representation: dict[str, str], before: str) -> None:
        request = f"{before} " + ", ".join(f"{name}[{value}]" for name, value in representation.items())
        plain = ". ".join(
            f"{value} rating" if name == "customer rating" else f"{value} price" if name == "priceRange" else value
            for name, value in representation.items()
        )
        assert slot_coverage(plain, request) == 1.0

    @given(statement=st.text(max_size=80), representation=representations.filter(bool))
    def test_it_is_a_share_for_whatever_a_seat_says(self, statement: str, representation: dict[str, str]) -> None:
        request = ", ".join(f"{name}[{value}]" for name, value in representation.items())
        coverage = slot_coverage(statement, request)
        assert 0 <= coverage <= 1
        assert coverage * len(representation) == pytest.approx(round(coverage * len(representation)))
