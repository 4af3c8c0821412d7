"""Arms of an evaluation: who speaks to a row, and how the row is put to them."""

from collections.abc import Sequence
from dataclasses import dataclass

from consilium.engines.protocol import Message
from consilium.members.catalogue import Member
from consilium.members.persona import SamplingDefaults
from consilium.training.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way of answering rows."""

    name: str
    """What a table calls it: ``base``, ``base_3shot``, a member's name."""
    member: Member
    """Whose adapter speaks; the fallback's is none."""
    system_prompt: str
    sampling: SamplingDefaults
    shots: tuple[Row, ...] = ()
    """Rows that are shown with their replies before the one that is asked."""

    def messages(self, row: Row) -> tuple[Message, ...]:
        """Return what the arm is given of a row."""
        shown: list[Message] = []
        for shot in self.shots:
            shown += (
                Message(role="user", content=shot.request),
                Message(role="assistant", content=shot.replies[0]),
            )
        return (
            Message(role="system", content=self.system_prompt),
            *shown,
            Message(role="user", content=row.request),
        )


def seated(member: Member, *, of: Member | None = None) -> Arm:
    """Return a member as it would sit: its own persona and adapter, whatever the work.

    At the work of another, ``of``, it is heard as that one is, but for its drafts.
    """
    sampling = member.persona.sampling
    if of is not None and of.name != member.name:
        sampling = of.persona.sampling.undrafted
    return Arm(
        name=member.name,
        member=member,
        system_prompt=member.persona.system_prompt,
        sampling=sampling,
    )


def prompted(name: str, speaker: Member, of: Member, shots: Sequence[Row] = ()) -> Arm:
    """Return another's weights with the prompt of the member ``of``, whose work it is: the control for its adapter.

    Where that member draws drafts, which belong to it as its adapter does, the control says what is likeliest.
    """
    return Arm(
        name=name,
        member=speaker,
        system_prompt=of.persona.system_prompt,
        sampling=of.persona.sampling.undrafted,
        shots=tuple(shots),
    )
