"""`best`: the statement of the seat that the router trusts most."""

from collections.abc import Sequence

from consilium.deliberation.opinion import Conclusion, Opinion
from consilium.deliberation.vote import tally


def best(opinions: Sequence[Opinion]) -> Conclusion:
    """Take the words of the heaviest seat; of equal ones, the first.

    >>> best([Opinion(seat=0, member="a", weight=0.3, text="no"), Opinion(seat=1, member="b", weight=0.7, text="yes")])
    Conclusion(text='yes', source_seat=1, agreement=0.7, dissent=(0,))
    """
    chosen = max(opinions, key=lambda opinion: (opinion.weight, -opinion.seat))
    return tally(opinions, chosen)
