"""Rows share every pass, and never see each other."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from consilium.engines.embedded import batch, keys_values, model
from consilium.engines.embedded.prefixes import Prefixes
from consilium.engines.embedded.row import Row
from consilium.errors import AdapterRefused
from consilium.members.base import Base
from consilium.members.catalogue import Member
from tests.support.tiny import Heard, Speakers, some_ids, tiny_member

SCHEDULES = 40
ROWS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A row of a schedule."""

    member: Member
    ids: list[int]
    sampling: dict[str, object]
    seed: int
    joins_at: int
    """Step before which it is handed over."""
    cancelled_at: int | None
    """Step before which it is given up."""


@pytest.fixture(scope="module")
def alone(tiny: Base) -> Speakers:
    """Return a model in which rows speak one at a time, each read from its first token on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "Prefixes", partial(Prefixes, max_bytes=0))
        return Speakers(tiny)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every bound so small that a few short rows reach all of them."""
    monkeypatch.setattr(batch, "MAX_ROWS", 5)
    monkeypatch.setattr(batch, "MAX_ROOM", 240)
    monkeypatch.setattr(batch, "KEPT_ROOM", 100)
    monkeypatch.setattr(batch, "READ_TOKENS", 7)
    monkeypatch.setattr(batch, "READ_ROWS", 3)
    monkeypatch.setattr(keys_values, "GROWTH_TOKENS", 8)
    monkeypatch.setattr(model, "CAPACITY", 2)


def schedule(crew: list[Member], seed: int) -> list[Asked]:
    """Return rows with lengths, settings and times of their own, some of which begin alike."""
    chance = random.Random(seed)
    shared = some_ids(12, seed=seed)
    rows = []
    for number in range(ROWS):
        own = some_ids(chance.choice((1, 2, 9, 23)), seed=1_000 * seed + number)
        ids = shared[: chance.choice((0, 0, 5, 12))] + own
        sampling: dict[str, object] = {"max_tokens": chance.choice((1, 2, 6, 17))}
        if chance.random() < 0.4:
            sampling |= {"temperature": 0.9, "top_p": chance.choice((0.7, 1.0)), "repetition_penalty": 1.2}
        joins_at = chance.choice((0, 0, 1, 4, 9, 20))
        rows.append(
            Asked(
                member=chance.choice(crew),
                ids=ids,
                sampling=sampling,
                seed=number,
                joins_at=joins_at,
                cancelled_at=joins_at + chance.randrange(12) if chance.random() < 0.3 else None,
            )
        )
    return rows


def play(speakers: Speakers, rows: list[Asked]) -> Iterator[Heard]:
    """Let the rows join and be given up between steps, until all are over; yield them in order."""
    heard: dict[int, Heard] = {}
    step = 0
    while len(heard) < len(rows) or speakers.model.rows:
        for number, asked in enumerate(rows):
            if asked.joins_at == step:
                heard[number] = speakers.add(asked.member, asked.ids, seed=asked.seed, **asked.sampling)
            if asked.cancelled_at == step and number in heard:
                heard[number].row.cancelled = True
        speakers.model.step()
        step += 1
    yield from (heard[number] for number in range(len(rows)))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_a_row_says_what_it_says_alone(tiny: Base, crew: list[Member], alone: Speakers, seed: int) -> None:
    rows = schedule(crew, seed)
    for asked, heard in zip(rows, play(Speakers(tiny), rows), strict=True):
        expected = alone.say(asked.member, asked.ids, seed=asked.seed, **asked.sampling)
        if asked.cancelled_at is None:
            assert heard.row.done
            assert heard.row.drawn == expected
        assert heard.row.drawn == expected[: len(heard.row.drawn)]


def in_slots(speakers: Speakers) -> list[Row]:
    """Return the rows that no longer wait."""
    waiting = {row for row, _ in speakers.model._batch._waiting}
    return [row for row in speakers.model.rows if row not in waiting]


@pytest.mark.parametrize("bound", [("MAX_ROWS", 3), ("MAX_ROOM", 3 * 40), ("READ_ROWS", 3)])
def test_those_beyond_a_bound_wait_and_are_seated_in_their_order(
    tiny: Base, crew: list[Member], monkeypatch: pytest.MonkeyPatch, bound: tuple[str, int]
) -> None:
    monkeypatch.setattr(batch, *bound)
    monkeypatch.setattr(batch, "READ_TOKENS", 3)  # after a step or two, everybody is still being read
    speakers = Speakers(tiny)
    rows = [speakers.add(crew[-1], some_ids(30, seed=seed), max_tokens=10).row for seed in range(5)]
    speakers.model.step()
    assert in_slots(speakers) == rows[:3]
    assert speakers.model.rows == rows
    rows[1].cancelled = True
    speakers.model.step()
    assert in_slots(speakers) == [rows[0], rows[2], rows[3]]


def test_a_row_that_is_alone_may_be_longer_than_the_room(
    tiny: Base, crew: list[Member], alone: Speakers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MAX_ROOM", 20)
    speakers, ids = Speakers(tiny), some_ids(30)
    long = speakers.add(crew[0], ids, min_tokens=9, max_tokens=9).row
    short = speakers.add(crew[1], ids[:5], max_tokens=4).row
    speakers.model.step()
    assert in_slots(speakers) == [long]
    speakers.finish()
    assert long.drawn == alone.say(crew[0], ids, min_tokens=9, max_tokens=9)
    assert short.done


def test_a_row_that_gives_up_while_it_waits_is_never_read(
    tiny: Base, crew: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MAX_ROWS", 1)
    speakers = Speakers(tiny)
    first, second, third = (speakers.add(crew[-1], some_ids(5), min_tokens=3, max_tokens=3).row for _ in range(3))
    speakers.model.step()
    second.cancelled = True
    speakers.finish()
    assert (first.done, second.known, third.done) == (True, 0, True)


def test_a_long_prompt_silences_nobody(tiny: Base, crew: list[Member], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "READ_TOKENS", 16)
    speakers = Speakers(tiny)
    speaker = speakers.add(crew[0], some_ids(4), min_tokens=30, max_tokens=30).row
    speakers.model.step()
    long = speakers.add(crew[1], some_ids(100, seed=1), max_tokens=2).row
    for steps in range(1, 4):
        said = len(speaker.drawn)
        speakers.model.step()
        assert len(speaker.drawn) == said + 1
        assert 16 * (steps - 1) < long.known < 2 * 16 * steps
    speakers.finish()
    assert long.done


def test_of_prompts_that_come_together_the_shortest_speaks_first(
    tiny: Base, crew: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "READ_TOKENS", 16)
    speakers = Speakers(tiny)
    long, short = (speakers.add(crew[0], some_ids(length, seed=length), min_tokens=3).row for length in (90, 4))
    speakers.model.step()
    assert (len(short.drawn) > 0, long.drawn) == (True, [])


def test_the_room_that_rows_leave_is_not_multiplied_by_a_long_one(
    tiny: Base, crew: list[Member], alone: Speakers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many short slots and one long row: room for as many long rows would be many times the bound."""
    monkeypatch.setattr(batch, "MAX_ROOM", 256)
    monkeypatch.setattr(keys_values, "GROWTH_TOKENS", 8)
    speakers, ids = Speakers(tiny), some_ids(6)
    stays = speakers.add(crew[0], ids, min_tokens=20, max_tokens=20).row
    for seed in range(9):
        speakers.add(crew[1], some_ids(6, seed=seed), max_tokens=2)
    while len(speakers.model.rows) > 1:
        speakers.model.step()
    joins = speakers.add(crew[2], some_ids(100, seed=1), min_tokens=9, max_tokens=9).row
    speakers.model.step()
    assert in_slots(speakers) == [stays, joins]
    assert speakers.model._batch._kv.room <= 256
    speakers.finish()
    assert stays.drawn == alone.say(crew[0], ids, min_tokens=20, max_tokens=20)
    assert joins.drawn == alone.say(crew[2], joins.token_ids, min_tokens=9, max_tokens=9)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_numbers_that_overflow_harm_nobody_else(
    tiny: Base, crew: list[Member], alone: Speakers, temperature: float
) -> None:
    """Weights may be finite and far too large; what they leave in a slot must not reach the slot's next row."""
    speakers, bull = Speakers(tiny), tiny_member("bull", tiny, spread=1e30)
    beside = speakers.add(crew[0], some_ids(7), min_tokens=12, max_tokens=12).row
    lost = [speakers.add(bull, some_ids(30, seed=n), temperature=temperature, min_tokens=5) for n in range(2)]
    speakers.model.step()
    after = [speakers.add(crew[n], some_ids(3 + n, seed=n), min_tokens=9, max_tokens=9).row for n in range(3)]
    speakers.finish()
    for heard in lost:
        (refusal,) = heard.pieces
        assert isinstance(refusal, AdapterRefused)
        assert "'bull' computes numbers that are not finite" in str(refusal)
    assert beside.drawn == alone.say(crew[0], some_ids(7), min_tokens=12, max_tokens=12)
    for n, row in enumerate(after):
        assert row.drawn == alone.say(crew[n], some_ids(3 + n, seed=n), min_tokens=9, max_tokens=9)
