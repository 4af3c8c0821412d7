"""Requests to fit a router on and to try it with: members' own rows in many forms, and requests from elsewhere."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from consilium.errors import BadRows
from consilium.members.catalogue import Catalogue, Member
from consilium.routing.classifier import Example
from consilium.routing.conversations import STAYS, STAYS_HELD_OUT, said_after
from consilium.routing.injections import INJECTIONS, INJECTIONS_HELD_OUT, injected
from consilium.routing.layouts import LAYOUTS, NEW_LAYOUTS, laid_out
from consilium.routing.options import with_options
from consilium.routing.sources import open_work, sources, unlabelled
from consilium.training.data import data_of, split_of
from consilium.training.held_out import held_out
from consilium.training.rows import Row, labels_of

LAID_OUT = 0.4
"""Share of the rows to learn from that are also shown in another layout."""
OFTEN = 8
"""How often what there is little of is shown, that it is not drowned: the examples in personas, requests from elsewhere
that are for a specialist, and rows of members that have few beside others; those no more often than makes them as many.
"""
SELDOM = 3
"""How often requests from elsewhere for the fallback are shown; shown more often, they take characters' questions."""
CALLED = 5
"""How often a follow-up that calls a member is shown."""
INJECTED = 0.03
"""Share of the examples that are also shown with an instruction to seat another member."""
OFFERED = 0.3
"""Share of the rows of members that choose among labels that are also shown with the labels."""
TRIED = 60
"""Rows of a layout or of a source that a router is tried with, of each member."""
CONVERSATIONS = 20
"""How often a follow-up is tried, each time after another request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Examples to fit on, to weigh by, and to try."""

    fit: tuple[Example, ...]
    dev: tuple[Example, ...]
    open_work: tuple[Example, ...]
    """Requests that no member was trained for: the fallback's, see `sources.open_work`. A fast stage that is told so
    takes them by their form, which is that of members' own requests laid out anew; so the deep one alone is."""
    unlabelled: tuple[str, ...]
    """Messages from elsewhere that might be anybody's."""
    trials: dict[str, tuple[Example, ...]]
    """Examples by condition: ``raw``, ``phrased``, ``layout/…``, ``source/…``, ``injected``, and follow-ups that
    ``stay`` with who answered or ``call`` a member; none of them, nor their layouts, sources, phrasings and injections,
    is among those to fit on. Rows of members that are not in the first folder stand apart, under their folder's
    name: ``personas/raw`` and so on."""
    stays: tuple[str, ...] = STAYS
    """Messages that leave it with whoever has just answered."""


def gather(
    catalogue: Catalogue, folders: Sequence[Path], more: Path | None = None, *, rows: int | None = None, seed: int = 0
) -> Requests:
    """Return the requests of all members whose rows are in the folders.

    A row is shown as it is, under an instruction, and some in another layout. So are the examples in personas, as they
    are, also of members that have no rows.

    Args:
        catalogue: the members.
        folders: of data, as for `consilium.training.data.data_of`.
        more: a folder of requests from elsewhere, see `sources`; without it the fallback has none to be known by.
        rows: learn from at most so many rows of each member.
        seed: of what is drawn.

    Raises:
        BadRows: rows that cannot be read.
    """
    chance = Random(seed)
    members = [member for member in catalogue.members.values() if data_of(member, folders) is not None]
    if not members:
        raise BadRows(f"{', '.join(map(str, folders))} hold no rows for any member. Name a folder with one for each.")
    old = sorted(set(LAYOUTS) - set(NEW_LAYOUTS))
    own = [(member.name, text) for member in catalogue.members.values() for text in member.persona.examples]
    fit = [Example(message=text, member=name, source="persona") for name, text in own] * OFTEN
    dev: list[Example] = []
    nobodys: list[Example] = []
    trials: dict[str, list[Example]] = {}
    splits = {member.name: split_of(member, folders) for member in members}
    rows = min(rows or 10**9, max(len(split.train) for split in splits.values()))
    for member in members:
        split = splits[member.name]
        learned = chance.sample(split.train, min(len(split.train), rows))
        for _ in range(min(OFTEN, rows // len(learned))):
            fit += _shown(member, learned, old, chance)
        dev += _shown(member, split.dev, old, chance)
        folder = next(folder for folder in folders if data_of(member, [folder]) is not None)
        apart = "" if folder == folders[0] else f"{folder.name}/"
        for name, examples in _tried(member, split.test, NEW_LAYOUTS, chance):
            trials.setdefault(apart + name, []).extend(examples)
    if more:
        _add_elsewhere(sources(more, catalogue.fallback), catalogue.fallback, fit, dev, trials, chance)
        _add_open(open_work(more), catalogue.fallback, nobodys, dev, chance)
    calls, new_calls = _calls(members)
    names = list(catalogue.members)
    for part in (fit, dev):
        part += [shown for _, shown in injected(part, names, INJECTIONS, round(INJECTED * len(part)), seed=seed)]
    alone = trials.get("raw") or next(iter(trials.values()))
    trials["injected"] = [shown for _, shown in injected(alone, names, INJECTIONS_HELD_OUT, 5 * TRIED, seed=seed)]
    stays = [Example(message=message, member="") for message in STAYS_HELD_OUT]
    trials["stay"] = said_after(stays, alone, CONVERSATIONS, seed=seed)
    trials["call"] = said_after(new_calls, alone, CONVERSATIONS, seed=seed)
    return Requests(
        fit=(*fit, *calls * CALLED),
        open_work=tuple(nobodys),
        unlabelled=tuple(unlabelled(more)) if more else (),
        dev=tuple(dev),
        trials={name: tuple(examples) for name, examples in trials.items() if examples},
    )


def _add_elsewhere(
    elsewhere: Mapping[str, Sequence[Example]],
    fallback: str,
    fit: list[Example],
    dev: list[Example],
    trials: dict[str, list[Example]],
    chance: Random,
) -> None:
    """Put requests from elsewhere, by source, with those to fit on and to weigh by; held-out sources are tried."""
    for name, examples in elsewhere.items():
        drawn = chance.sample(examples, len(examples))
        if name in held_out(elsewhere):
            trials[f"source/{name}"] = drawn[:TRIED]
        else:
            _parted(drawn, SELDOM if drawn[0].member == fallback else OFTEN, fit, dev)


def _add_open(
    work: Mapping[str, Sequence[Row]], fallback: str, fit: list[Example], dev: list[Example], chance: Random
) -> None:
    """Put requests that are for nobody but the fallback with those of their kind to fit on, and those to weigh by."""
    for name, rows in work.items():
        drawn = [
            Example(message=row.request, member=fallback, source=f"open/{name}")
            for row in chance.sample(rows, len(rows))
        ]
        _parted(drawn, SELDOM, fit, dev)


def _parted(drawn: Sequence[Example], often: int, fit: list[Example], dev: list[Example]) -> None:
    """Put nine tenths with those to fit on, so often, and the last with those to weigh by."""
    border = len(drawn) * 9 // 10
    fit += [*drawn[:border]] * often
    dev += drawn[border:]


def _calls(members: Sequence[Member]) -> tuple[list[Example], list[Example]]:
    """Return what calls each member in mid-conversation: to fit on, and to try."""
    found: tuple[list[Example], list[Example]] = ([], [])
    for member in members:
        for place, message in enumerate(member.persona.follow_ups):
            found[place % 3 == 2].append(Example(message=message, member=member.name, source="call"))
    return found


def _shown(member: Member, rows: Sequence[Row], layouts: Sequence[str], chance: Random) -> Iterator[Example]:
    """Yield each row under its instruction, as it is, and some in a layout or with the labels to choose from."""
    labels = labels_of(rows)
    for row in rows:
        yield Example(message=row.request, member=member.name)
        if _topics(member):
            continue
        if len(labels) > 1 and chance.random() < OFFERED:
            yield Example(message=with_options(row.input, labels, chance), member=member.name, source="options")
        if row.input != row.request:
            yield Example(message=row.input, member=member.name)
        if chance.random() < LAID_OUT:
            shown = laid_out(row.input, chance.choice(layouts), chance)
            yield Example(message=shown, member=member.name, source="layout")


def _tried(
    member: Member, rows: Sequence[Row], layouts: Sequence[str], chance: Random
) -> Iterator[tuple[str, list[Example]]]:
    """Yield conditions, and rows of a member in each."""
    yield "phrased", [Example(message=row.request, member=member.name) for row in rows]
    if _topics(member):
        return
    yield "raw", [Example(message=row.input, member=member.name) for row in rows]
    drawn = chance.sample(rows, min(len(rows), TRIED))
    for layout in layouts:
        yield (
            f"layout/{layout}",
            [Example(message=laid_out(row.input, layout, chance), member=member.name) for row in drawn],
        )


def _topics(member: Member) -> bool:
    """Say whether a member's inputs are topics, which without an instruction may be anybody's."""
    return member.persona.training is not None and member.persona.training.rows.kind == "passages"
