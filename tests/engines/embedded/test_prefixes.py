"""What a member has read once is not read again, and nobody else's reading is taken for its own."""

import pytest
import torch

from consilium.engines.embedded.prefixes import Prefixes
from consilium.engines.embedded.row import Row
from consilium.members.base import Base
from consilium.members.catalogue import Member
from tests.support.tiny import Speakers, some_ids


def numbers(tokens: int) -> torch.Tensor:
    """Return keys and values of 4 bytes a token."""
    return torch.arange(float(tokens)).view(1, 1, 1, tokens, 1)


def test_the_longest_beginning_in_common_is_found() -> None:
    prefixes = Prefixes()
    prefixes.keep("pilot", [1, 2, 3], numbers(3))
    prefixes.keep("pilot", [1, 2, 9, 9, 9], numbers(5))
    for ids, tokens, length in (([1, 2, 3, 4], 3, 3), ([1, 2, 9, 9, 4], 4, 5), ([1, 2], 1, 3), ([7, 8], 0, 0)):
        known, kv = prefixes.find("pilot", ids)
        assert known == tokens
        assert (0 if kv is None else kv.shape[3]) == length


def test_another_adapters_reading_is_not_taken() -> None:
    prefixes = Prefixes()
    prefixes.keep("pilot@0123", [1, 2, 3], numbers(3))
    assert prefixes.find("pilot@4567", [1, 2, 3, 4]) == (0, None)


def test_the_last_token_is_always_read() -> None:
    prefixes = Prefixes()
    prefixes.keep("pilot", [1, 2, 3], numbers(3))
    assert prefixes.find("pilot", [1, 2, 3])[0] == 2
    assert prefixes.find("pilot", [1]) == (0, None)


def test_bytes_are_bounded_and_the_longest_unused_goes_first() -> None:
    prefixes = Prefixes(max_bytes=4 * 10)
    prefixes.keep("a", [1, 2, 3, 4], numbers(4))
    prefixes.keep("b", [1, 2, 3, 4], numbers(4))
    prefixes.find("a", [1, 2, 3, 4, 5])
    prefixes.keep("c", [1, 2, 3, 4], numbers(4))
    assert [prefixes.find(name, [1, 2, 3, 4, 5])[0] for name in "abc"] == [4, 0, 4]
    prefixes.keep("d", list(range(11)), numbers(11))
    assert [prefixes.find(name, [0, 1, 2, 3])[0] for name in "abcd"] == [0, 0, 0, 0]
    prefixes.keep("e", [1, 2], numbers(2))
    assert prefixes.find("e", [1, 2, 3])[0] == 2


def test_a_reading_that_goes_on_takes_the_place_of_its_beginning() -> None:
    prefixes = Prefixes(max_bytes=4 * 10)
    prefixes.keep("mate", [1], numbers(1))
    for length in (2, 5, 9):
        prefixes.keep("pilot", list(range(length)), numbers(length))
    assert prefixes.find("pilot", list(range(12)))[0] == 9
    assert prefixes.find("mate", [1, 2])[0] == 1, "beginnings that nobody needs took its place"


def test_a_second_turn_reads_only_what_is_new(tiny: Base, crew: list[Member]) -> None:
    pilot, mate = crew[:2]
    speakers, first, more = Speakers(tiny), some_ids(20), some_ids(6, seed=1)
    said = speakers.say(pilot, first, min_tokens=5, max_tokens=5)
    second = [*first, *said, *more]
    again, other = speakers.add(pilot, second).row, speakers.add(mate, second).row
    known = {row: row.known for row in joined(speakers)}
    # The last token of the statement was drawn and never read.
    assert known == {again: len(first) + len(said) - 1, other: 0}


def joined(speakers: Speakers) -> list[Row]:
    """Let the rows that wait join, and read nothing yet."""
    with torch.inference_mode():
        speakers.model._batch._join()
    return speakers.model._batch._reading


def test_a_statement_is_the_same_whether_its_prompt_was_known_or_not(tiny: Base, crew: list[Member]) -> None:
    speakers = Speakers(tiny)
    for member in crew:
        history = some_ids(15, seed=3)
        for turn in range(4):
            said = speakers.say(member, history, seed=turn, temperature=0.7, min_tokens=6)
            assert said == Speakers(tiny).say(member, history, seed=turn, temperature=0.7, min_tokens=6)
            history = [*history, *said, *some_ids(4, seed=turn)]


def test_the_same_prompt_is_answered_again(tiny: Base, crew: list[Member]) -> None:
    """All of it is known, and its last token must be read all the same."""
    speakers, ids = Speakers(tiny), some_ids(12)
    once = speakers.say(crew[0], ids, min_tokens=4)
    assert speakers.say(crew[0], ids, min_tokens=4) == once
    assert speakers.say(crew[0], ids[:7], min_tokens=4) == Speakers(tiny).say(crew[0], ids[:7], min_tokens=4)


def test_a_row_that_gives_up_leaves_what_it_has_read(tiny: Base, crew: list[Member]) -> None:
    speakers, ids = Speakers(tiny), some_ids(12)
    row = speakers.add(crew[0], ids, min_tokens=8).row
    for _ in range(3):
        speakers.model.step()
    row.cancelled = True
    speakers.model.step()
    speakers.add(crew[0], [*ids, *row.drawn, 9])
    assert [found.known for found in joined(speakers)] == [len(ids) + len(row.drawn) - 1]


@pytest.mark.parametrize("length", [1, 2])
def test_the_shortest_prompts_are_read(tiny: Base, crew: list[Member], length: int) -> None:
    speakers, ids = Speakers(tiny), some_ids(length)
    once = speakers.say(crew[0], ids, min_tokens=4)
    assert speakers.say(crew[0], ids, min_tokens=4) == once
