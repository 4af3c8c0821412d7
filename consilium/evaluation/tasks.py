"""Tasks: what each member is measured on, found in folders of data."""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from consilium.errors import BadRows
from consilium.evaluation.matrix import Task, choose_shots
from consilium.evaluation.style import StyleClassifier, Voice
from consilium.evaluation.work import work_of
from consilium.members.catalogue import Member
from consilium.training.data import data_of, split_of, training_of
from consilium.training.rows import Row, Split, labels_of, read_split

Thing = TypeVar("Thing")

SPOKEN_ROWS = 200
"""Rows of its own work that a member answers in words, unless it is said otherwise; the rest only tell likelihoods."""


class Tasks:
    """Reads tasks out of folders of data.

    Args:
        members: all members; a voice is told from those of the others.
        folders: each laid out with a folder for each member, or with the files that personas name.
        sample: use at most so many held-out rows; None speaks to `SPOKEN_ROWS` and scores all.
        seed: of the sample.
    """

    def __init__(
        self, members: Iterable[Member], folders: Sequence[Path], *, sample: int | None = None, seed: int = 0
    ) -> None:
        self._members = tuple(members)
        self._folders = tuple(folders)
        self._sample = sample
        self._seed = seed
        self._classifier: StyleClassifier | None = None

    def read(self, member: Member, data: Path | None = None) -> Task:
        """Return the member's task, with the rows in ``data`` where it is given.

        Raises:
            BadRows: the member has no [training] table, or no folder holds its rows, or they cannot be read.
        """
        training, split = training_of(member), self.split(member, data)
        return Task(
            member=member,
            work=work_of(member, self._voice(member, split) if training.metric == "style" else None),
            spoken=tuple(sampled(split.test, self._sample or SPOKEN_ROWS, self._seed)),
            scored=tuple(sampled(split.test, self._sample or len(split.test), self._seed)),
            shots=choose_shots(split.train),
            labels=labels_of(split.train) if training.metric == "label" else (),
        )

    def split(self, member: Member, data: Path | None = None) -> Split:
        """Return the member's rows, those in ``data`` where it is given. Raises as `read`."""
        return read_split(data, training_of(member).rows) if data else split_of(member, self._folders)

    def _voice(self, member: Member, split: Split) -> Voice:
        if self._classifier is None:
            characters = [
                other
                for other in self._members
                if data_of(other, self._folders) is not None and training_of(other).metric == "style"
            ]
            texts = {other.name: [row.replies[0] for row in self.split(other).train] for other in characters}
            self._classifier = StyleClassifier.fit(texts)
        learned = tuple(row.replies[0] for row in split.train)
        return Voice(classifier=self._classifier, author=member.name, learned=learned)


def learned(member: Member, split: Split) -> tuple[Row, ...]:
    """Return the rows that a member learns from: those whose reply reaches what its persona asks, at most its limit.

    Raises:
        BadRows: the member has no [training] table, or no row is left.
        BadPersona: what it asks is of no metric of its work.
    """
    training, rows = training_of(member), split.train
    if training.least:
        work = work_of(member)
        rows = tuple(row for row in rows if work.reaches(row.replies[0], row, training.least))
        if not rows:
            raise BadRows(f"no row of {member.name!r} reaches {training.least}. Ask less in [training.least].")
    return rows[: training.limit]


def sampled(rows: Sequence[Thing], count: int, seed: int) -> list[Thing]:
    """Return ``count`` of the rows, the same for the same seed; all where there are no more."""
    return list(rows) if len(rows) <= count else random.Random(seed).sample(list(rows), count)
