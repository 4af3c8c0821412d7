"""What a deliberation starts from and what it comes to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """A seat's statement, as a deliberation sees it. Seats that failed have none."""

    seat: int
    member: str
    weight: float
    """The router's share for the seat."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What a deliberation came to."""

    text: str
    source_seat: int
    """The seat whose words these are."""
    agreement: float
    """Share of the opinions' weight that stands behind the text, in [0, 1]."""
    dissent: tuple[int, ...]
    """Seats whose opinion is another one."""
