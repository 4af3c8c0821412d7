"""Where a member's rows are, and which of them it learns from."""

from collections.abc import Sequence
from pathlib import Path

from consilium.errors import BadRows
from consilium.members.catalogue import Member
from consilium.members.persona import Training
from consilium.training.rows import Split, read_split


def training_of(member: Member) -> Training:
    """Return the persona's [training] table. Raises `BadRows` where there is none."""
    if member.persona.training is None:
        raise BadRows(f"{member.name!r} has no [training] table in its persona. Write one, or name another member.")
    return member.persona.training


def data_of(member: Member, folders: Sequence[Path]) -> Path | None:
    """Return where a member's rows are; None where none of the folders holds them."""
    if member.persona.training is None:
        return None
    files = member.persona.training.rows.files
    for folder in folders:
        if files and all((folder / file).is_file() for file in files):
            return folder
        if not files and (folder / member.name).is_dir():
            return folder / member.name
    return None


def split_of(member: Member, folders: Sequence[Path]) -> Split:
    """Return a member's rows.

    Raises:
        BadRows: the member has no [training] table, or no folder holds its rows, or they cannot be read.
    """
    training, found = training_of(member), data_of(member, folders)
    if found is None:
        places = ", ".join(map(str, folders))
        raise BadRows(f"{places} hold no rows for {member.name!r}. Name the folder that does, or other members.")
    return read_split(found, training.rows)
