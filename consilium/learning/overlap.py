"""What a decision could have been: the sets of members that its propensities allow, and how likely each was.

A router leaves at most one seat of a turn to chance: some members sit for certain, and the last seat is drawn. So the
propensities of single members say how likely each *set* was, which is what importance weights need.
"""

from collections.abc import Iterable, Mapping

from consilium.errors import BadInput

_CERTAIN = 1 - 1e-9


def possible_sets(propensities: Mapping[str, float]) -> dict[frozenset[str], float]:
    """Return every set of members that might have sat, with its probability.

    Raises:
        BadInput: more than one seat was left to chance, so that the sets' probabilities are not known.

    >>> sorted((sorted(found), chance) for found, chance in possible_sets({"a": 1, "b": 0.75, "c": 0.25}).items())
    [(['a', 'b'], 0.75), (['a', 'c'], 0.25)]
    """
    certain = frozenset(name for name, chance in propensities.items() if chance >= _CERTAIN)
    drawn = {name: chance for name, chance in propensities.items() if 0 < chance < _CERTAIN}
    if not drawn:
        return {certain: 1.0}
    if abs(sum(drawn.values()) - 1) > 1e-6:
        raise BadInput(
            f"propensities={dict(propensities)!r} leave {sum(drawn.values()):.3f} seats to chance; sets of members "
            "have known probabilities only where it is one. Leave one seat to chance."
        )
    return {certain | {name}: chance for name, chance in drawn.items()}


def probability(propensities: Mapping[str, float], seated: Iterable[str]) -> float:
    """Return how likely it was that exactly these members sit. Raises as `possible_sets`."""
    return possible_sets(propensities).get(frozenset(seated), 0.0)


def unsupported(target: Mapping[str, float], behaviour: Mapping[str, float]) -> float:
    """Return the share of the target's choices that the behaviour could not have made. Raises as `possible_sets`.

    >>> unsupported({"a": 0.9, "b": 0.1}, {"a": 1.0, "b": 0.0})
    0.1
    """
    could = possible_sets(behaviour)
    return sum(chance for found, chance in possible_sets(target).items() if found not in could)
