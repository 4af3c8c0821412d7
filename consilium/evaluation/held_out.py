"""Base against member on rows that neither was trained on: loss, and the metric of the member's own work."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from consilium.engines.protocol import Continuation, Engine, Message, Prompt, Spoken
from consilium.errors import BadRows
from consilium.evaluation.style import StyleClassifier, Voice
from consilium.evaluation.work import work_of
from consilium.members.catalogue import Member
from consilium.training.rows import Row

BATCH = 16
"""Continuations that are scored in one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What a voice is recognised by: its author's words against other authors' and against the bare base's own.

    Without the last, a classifier that knows old authors only takes the base's plain prose for one of them.
    """

    texts: Mapping[str, Sequence[str]]
    """By author."""
    author: str
    """The member's own."""
    contrast: tuple[Row, ...]
    """Requests that the base answers to show its own voice; none of the rows that are scored."""
    learned: tuple[str, ...]
    """The replies that the member was trained on, for the copy rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One figure for the base and for the member, on the same rows."""

    base: float
    member: float


async def evaluate_member(
    engine: Engine,
    member: Member,
    fallback: Member,
    rows: Sequence[Row],
    *,
    style: Style | None = None,
    on_done: Callable[[float], None] = lambda _share: None,
) -> dict[str, Score]:
    """Score ``member`` and the bare base, both with the member's own system prompt and sampling.

    Args:
        engine: serves both; its seats are batched.
        member: who is measured.
        fallback: the member without an adapter.
        rows: held-out rows.
        style: for members with the metric ``style``.
        on_done: told the share of the work that is done.

    Returns:
        ``loss`` in nats a token (the end token included) of the first accepted reply, and the metrics of
        the member's `Work`, as shares in [0, 1].

    Raises:
        BadRows: the member has no [training] table, or needs a style and got none.
        BadPersona: its headline is no metric of its work.
    """
    voice = None if style is None else await _voice(engine, member, fallback, style)
    work = work_of(member, voice)
    losses, scores = [], []
    for number, name in enumerate((fallback.name, member.name)):
        losses.append(await _loss(engine, name, member, rows))
        on_done((2 * number + 1) / 4)
        statements = await _statements(engine, name, member, rows)
        scores.append(work.score(statements, rows))
        on_done((2 * number + 2) / 4)
    figures = {"loss": Score(base=losses[0], member=losses[1])}
    return figures | {metric: Score(base=scores[0][metric], member=scores[1][metric]) for metric in scores[0]}


async def _voice(engine: Engine, member: Member, fallback: Member, style: Style) -> Voice:
    plain = await _statements(engine, fallback.name, member, style.contrast)
    classifier = StyleClassifier.fit({**style.texts, fallback.name: plain})
    return Voice(classifier=classifier, author=style.author, learned=style.learned)


def sampled(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """Return ``count`` of the rows, the same for the same seed; all where there are no more."""
    return list(rows) if len(rows) <= count else random.Random(seed).sample(list(rows), count)  # noqa: S311 -- a sample, no secret


async def _loss(engine: Engine, name: str, member: Member, rows: Sequence[Row]) -> float:
    nats, tokens = 0.0, 0
    # Rows of like length share a batch, so that little is padded.
    ordered = sorted(rows, key=lambda row: len(row.request) + len(row.replies[0]))
    for start in range(0, len(ordered), BATCH):
        some = ordered[start : start + BATCH]
        asked = [Continuation(member=name, messages=_messages(member, row), text=row.replies[0]) for row in some]
        for likelihood in await engine.likelihood(asked):
            nats -= likelihood.log_probability
            tokens += likelihood.tokens
    return nats / tokens


async def _statements(engine: Engine, name: str, member: Member, rows: Sequence[Row]) -> list[str]:
    async def speak(row: Row) -> str:
        prompt = Prompt(member=name, messages=_messages(member, row), sampling=member.persona.sampling)
        async for piece in engine.generate(prompt):
            if isinstance(piece, Spoken):
                return piece.text
        raise BadRows(f"{name!r} said nothing to {row.request!r}.")

    async with asyncio.TaskGroup() as group:
        speaking = [group.create_task(speak(row)) for row in rows]
    return [task.result() for task in speaking]


def _messages(member: Member, row: Row) -> tuple[Message, ...]:
    return (
        Message(role="system", content=member.persona.system_prompt),
        Message(role="user", content=row.request),
    )
