"""The books of a place that adapters lie in: who is there, who leaves, and what is counted."""

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from consilium.engines.tiers import Tally, Tier

NAMES = "abcdef"


def tier(capacity: int, *pinned: str) -> Tier:
    return Tier(Tally(place="here", tier="memory", capacity=capacity), pinned=pinned)


def need(of: Tier, name: str, *, ahead: bool = False) -> list[str]:
    """Bring an adapter as an engine does, and return who left for it."""
    if of.find(name, ahead=ahead):
        return []
    left = []
    while leaving := of.leaving():
        left.append(leaving)
    of.put(name, 2.0, ahead=ahead)
    return left


@given(st.lists(st.sampled_from(NAMES)), st.integers(1, 4))
def test_it_is_least_recently_used(needed: list[str], capacity: int) -> None:
    ours, oracle, hits = tier(capacity), OrderedDict[str, None](), 0
    for name in needed:
        hits += name in oracle
        oracle[name] = None
        oracle.move_to_end(name)
        if len(oracle) > capacity:
            oracle.popitem(last=False)
        need(ours, name)
        assert ours.names == list(oracle)
    assert (ours.tally.hits, ours.tally.loads) == (hits, len(needed) - hits)
    assert ours.tally.load_ms == 2.0 * ours.tally.loads


def test_pinned_ones_and_those_in_hand_stay() -> None:
    ours = tier(2, "a")
    for name in "ab":
        need(ours, name)
    ours.take("b")
    assert need(ours, "c") == []
    assert ours.names == ["a", "b", "c"], "rather too many than one that is needed"
    ours.give_back("b")
    assert need(ours, "d") == ["b", "c"]
    assert ours.tally.given_back == 2


def test_what_is_brought_ahead_is_no_hit_until_it_is_needed() -> None:
    ours = tier(2)
    need(ours, "a", ahead=True)
    need(ours, "a", ahead=True)
    assert (ours.tally.hits, ours.tally.loads, ours.tally.ahead) == (0, 1, 1)
    need(ours, "a")
    assert ours.tally.hits == 1
