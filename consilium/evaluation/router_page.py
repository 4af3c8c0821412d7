"""The page about routers: tables of trials, in Markdown."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from statistics import fmean
from typing import Any

from consilium.evaluation.markdown import interval, nats, percent, table
from consilium.evaluation.routed import Routed, Tried, gain, pooled
from consilium.evaluation.seating import Foreign, Worth, of_oracle, together

UNFAIR = ("oracle",)
"""Routers that were told the answer: no baselines."""

_HOW_TO_READ = """\
Each router answers requests that none was fitted on: *raw*, as they come; *phrased*, under instructions that were kept
out; *layout*, in layouts that were kept out; *source*, from elsewhere, of sources that were kept out; *stay* and
*call*, follow-ups in a conversation that leave it with who answered, or call another; *shift*, layouts and sources
together. A kind that bears a folder's name holds the rows, in whatever form, of the members whose data lies there.
In a conversation a fitted router always asks both stages, so that *stay* and *call* say nothing of its fast stage
alone; the baselines read the message without it, and so does the oracle, which knows the answer to each message.
Shares in percent of requests whose likeliest member is the right one; in brackets the 95 % interval of a difference,
requests drawn in pairs."""

_WHOLE = ("raw", "phrased")
"""Conditions that hold requests for every member of a folder."""
_NARROWED = """\
The same scores where nobody may sit but the members whose work these requests are: a sentence to translate, without an
instruction, is as good as one to answer."""
_SEATS = """\
The first seat goes where least is expected to be lost, which need not be the likeliest member: how often the likeliest
is the right one, how often who sits is, and how often the fallback sits though the request is for somebody else."""
_FITS = "Over the fitted routers that were tried."
_WORTH = """\
Whoever a router seats answers the row. *own*: what the row's own member would have earned in its headline metric;
*routed*: what those who were seated did; *regret*: nats a token by which the reference is likelier under the best
speaker for the row than under the seated one. Means over the members of each folder of rows, and over all."""
_UNSEEN = """\
Work that no member was trained for: regret, in nats a token, of seating as each router decides, of seating the bare
base always, and of seating always the one other member for which that is least; and how much more the first router's is
than the base's, with the 95 % interval, rows drawn in pairs."""

Trials = Mapping[str, Tried]
"""By router."""


def router_page(
    trials: Trials,
    unseen: Mapping[str, Foreign],
    *,
    first: str,
    fitted: Mapping[str, Sequence[str]],
    fallback: str,
    command: str,
    pictures: Sequence[tuple[str, str]],
) -> str:
    """Return the whole page.

    Args:
        trials: what was tried.
        unseen: by set, what routers lost at work that no member was trained for.
        first: the router that the others are compared with.
        fitted: routers that were fitted as it was, itself included, each with the names of its stages: no baselines.
        fallback: the member without an adapter.
        command: what tried it.
        pictures: what each shows, and its file name.
    """
    worth = trials[first].worth
    stages = [name for name in fitted.get(first, ()) if name in trials]
    alike = [name for name in fitted if name in trials]
    others = [name for name in trials if name not in (first, *fitted, *chain(*fitted.values()), *UNFAIR)]
    parts = [
        "# Routers, side by side",
        f"Written by the command that tried them:\n\n```\n{command}\n```",
        _HOW_TO_READ,
        "## By kind of request",
        _kinds(trials),
        *(("## From one fit to the next", _FITS, _fits(trials, alike)) if len(alike) > 1 else ()),
        *((f"## {first} against the best of the others", _gains(trials, first, others)) if others else ()),
        *((f"## {first} against the better of its stages", _gains(trials, first, stages)) if stages else ()),
        *(
            ("## Among those alone whose work it is", _NARROWED, *_narrowed(trials, first, others or stages, alike))
            if (others or stages) and narrowed(trials[first])
            else ()
        ),
        "## From scores to seats",
        _SEATS,
        _seats(trials[first].conditions, fallback),
        "## By condition",
        _conditions(trials),
        f"## By member: {first}",
        _members(trials[first].conditions),
        *(("## What decisions are worth", _WORTH, _worth(trials), _worth_by_member(worth)) if worth else ()),
        *(("## Unseen work", _UNSEEN, *_unseen(unseen, first, alike, fallback)) if unseen else ()),
        *(f"![{shown}]({name})" for shown, name in pictures),
    ]
    return "\n\n".join(parts) + "\n"


def kind_of(condition: str) -> str:
    """Return what a condition is one of: ``layout/json`` is a layout."""
    return condition.partition("/")[0]


def by_kind(parts: Mapping[str, Routed]) -> dict[str, Routed]:
    """Return a router's trials by kind of request, and those under shift, layouts and sources, together."""
    kinds: dict[str, list[Routed]] = {}
    for condition, part in parts.items():
        kinds.setdefault(kind_of(condition), []).append(part)
    shifted = [part for kind in ("layout", "source") for part in kinds.get(kind, [])]
    found = {kind: pooled(of_kind) for kind, of_kind in kinds.items()}
    return {**found, "shift": pooled(shifted)} if shifted else found


def figures(tried: Tried) -> dict[str, Any]:
    """Return a router's figures: over all, how often it is right in each kind of trial, and what that was worth."""
    parts, worth = tried.conditions, tried.worth
    found = {
        **pooled(list(parts.values())).figures(),
        "conditions": {name: float(part.hits.mean()) for name, part in parts.items()},
        "kinds": {kind: float(routed.hits.mean()) for kind, routed in by_kind(parts).items()},
        "narrowed": {kind: float(routed.hits.mean()) for kind, routed in narrowed(tried).items()},
    }
    if worth:
        found["regret"] = fmean(each.regret for each in worth)
        if (share := of_oracle(worth)) is not None:
            found["of_oracle"] = share
        found["worth"] = {each.task: {"own": each.own, "routed": each.routed, "regret": each.regret} for each in worth}
    return found


def narrowed(tried: Tried) -> dict[str, Routed]:
    """Return the trials that are for every member of a folder, with nobody but those members to sit."""
    return {name: part.narrowed() for name, part in tried.conditions.items() if name in _WHOLE}


def _kinds(trials: Trials) -> str:
    kinds = list(by_kind(next(iter(trials.values())).conditions))
    lines = []
    for name, tried in trials.items():
        found = figures(tried)
        shares = map(percent, found["kinds"].values())
        lines.append((name, *shares, f"{found['ece']:.3f}", f"{found['brier']:.3f}"))
    return table(("router", *kinds, "ECE", "Brier"), lines)


def _fits(trials: Trials, alike: Sequence[str]) -> str:
    found = [by_kind(trials[name].conditions) for name in alike]
    shares = {kind: [float(each[kind].hits.mean()) for each in found] for kind in found[0]}
    lines = [(name, *(percent(take(of_kind)) for of_kind in shares.values())) for name, take in _SUMMARIES.items()]
    return table((f"of {len(alike)}", *shares), lines)


_SUMMARIES: dict[str, Callable[[list[float]], float]] = {"mean": fmean, "lowest": min, "highest": max}


def _gains(trials: Trials, first: str, others: Sequence[str]) -> str:
    kinds = {name: by_kind(trials[name].conditions) for name in others}
    lines = []
    for kind, routed in by_kind(trials[first].conditions).items():
        best = max(others, key=lambda name: kinds[name][kind].hits.mean())
        shares = (percent(float(each.hits.mean())) for each in (routed, kinds[best][kind]))
        lines.append((kind, str(len(routed.right)), *shares, best, interval(gain(routed, kinds[best][kind]))))
    return table(("requests", "count", first, "best", "which", "difference"), lines)


def _narrowed(trials: Trials, first: str, others: Sequence[str], alike: Sequence[str]) -> Iterator[str]:
    among = {name: replace(tried, conditions=narrowed(tried)) for name, tried in trials.items()}
    yield _gains(among, first, others)
    if len(alike) > 1:
        yield _fits(among, alike)


def _seats(parts: Mapping[str, Routed], fallback: str) -> str:
    lines = []
    for kind, routed in by_kind(parts).items():
        place = routed.members.index(fallback)
        instead = (routed.first == place) & (routed.right != place)
        shares = (routed.hits, routed.first == routed.right, instead)
        lines.append((kind, *(percent(float(share.mean())) for share in shares)))
    return table(("requests", "likeliest", "seated", f"{fallback} instead"), lines)


def _conditions(trials: Trials) -> str:
    conditions = list(next(iter(trials.values())).conditions)
    lines = [
        (condition, *(percent(float(tried.conditions[condition].hits.mean())) for tried in trials.values()))
        for condition in conditions
    ]
    return table(("condition", *trials), lines)


def _members(parts: Mapping[str, Routed]) -> str:
    kinds = by_kind(parts)
    recalls = {kind: routed.recalls() for kind, routed in kinds.items()}
    members = next(iter(kinds.values())).members
    lines = [
        (name, *(percent(recalls[kind][name]) if name in recalls[kind] else "" for kind in kinds)) for name in members
    ]
    return table(("member", *kinds), lines)


def _worth(trials: Trials) -> str:
    lines = [
        (
            name,
            works,
            *(percent(fmean(getattr(each, side) for each in of_works)) for side in ("found", "own", "routed")),
            "" if (share := of_oracle(of_works)) is None else percent(share),
            f"{fmean(each.regret for each in of_works):.3f}",
        )
        for name, tried in trials.items()
        if tried.worth
        for works, of_works in _by_folder(tried).items()
    ]
    return table(("router", "rows", "found", "own", "routed", "of oracle", "regret"), lines)


def _by_folder(tried: Tried) -> dict[str, Sequence[Worth]]:
    """Return what decisions were worth for the members of each folder of data, and for all."""
    found: dict[str, Sequence[Worth]] = {}
    for condition, part in tried.conditions.items():
        folder, _, kind = condition.rpartition("/")
        if kind == "phrased":  # which, unlike raw, holds requests for each of a folder's members
            whose = {part.members[number] for number in part.right}
            found[folder or "first"] = [each for each in tried.worth if each.task in whose]
    return {**{name: worth for name, worth in found.items() if worth}, "all": tried.worth}


def _worth_by_member(worth: Sequence[Worth]) -> str:
    lines = [
        (
            each.task,
            each.metric,
            str(each.rows),
            *map(percent, (each.found, each.own, each.routed)),
            f"{each.regret:.3f}",
        )
        for each in worth
    ]
    return table(("member", "metric", "rows", "found", "own", "routed", "regret"), lines)


def _unseen(unseen: Mapping[str, Foreign], first: str, alike: Sequence[str], fallback: str) -> Iterator[str]:
    lines, every_set = [], together(list(unseen.values()))
    for name, each in {**unseen, "together": every_set}.items():
        found = each.figures()
        of_routers, of_members = found["routers"], found["members"]
        single = each.single(but=fallback)
        shown = (f"{lost:.2f}" for lost in (*of_routers.values(), of_members[fallback]))
        best = f"{of_members[single]:.2f} ({single})"
        lines.append((name, str(found["rows"]), *shown, best, nats(each.over(first, fallback))))
    routers = next(iter(unseen.values())).routers
    more = f"more than {fallback}"
    yield table(("work", "rows", *routers, fallback, "best single", more), lines)
    if len(alike) > 1:
        yield table(("fit", more), [(name, nats(every_set.over(name, fallback))) for name in alike])
