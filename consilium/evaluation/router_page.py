"""The page about routers: tables of trials, in Markdown."""

from collections.abc import Mapping, Sequence

from consilium.evaluation.markdown import interval, percent, table
from consilium.evaluation.routed import Routed, gain, pooled

UNFAIR = ("oracle",)
"""Routers that were told the answer: no baselines."""

_HOW_TO_READ = """\
Each router answers requests that none was fitted on: *raw*, as they come; *phrased*, under instructions that were kept
out; *layout*, in layouts that were kept out; *source*, from elsewhere, of sources that were kept out; *stay* and
*call*, follow-ups in a conversation that leave it with who answered, or call another; *shift*, layouts and sources
together. Shares in percent of requests whose first member is the right one; in brackets the 95 % interval of a
difference, requests drawn in pairs."""

Trials = Mapping[str, Mapping[str, Routed]]
"""By router and by condition."""


def router_page(
    trials: Trials, milliseconds: Mapping[str, float], *, first: str, command: str, pictures: Sequence[tuple[str, str]]
) -> str:
    """Return the whole page.

    Args:
        trials: what was tried.
        milliseconds: a decision takes, by router, one request at a time.
        first: the router that the others are compared with.
        command: what tried it.
        pictures: what each shows, and its file name.
    """
    parts = [
        "# Routers, side by side",
        f"Written by the command that tried them:\n\n```\n{command}\n```",
        _HOW_TO_READ,
        "## By kind of request",
        _kinds(trials, milliseconds),
        f"## {first} against the best of the others",
        _gains(trials, first),
        "## By condition",
        _conditions(trials),
        f"## By member: {first}",
        _members(trials[first]),
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


def _kinds(trials: Trials, milliseconds: Mapping[str, float]) -> str:
    kinds = list(by_kind(next(iter(trials.values()))))
    lines = []
    for name, parts in trials.items():
        figures = pooled(list(parts.values())).figures()
        shares = [percent(float(routed.hits.mean())) for routed in by_kind(parts).values()]
        lines.append((name, *shares, f"{figures['ece']:.3f}", f"{figures['brier']:.3f}", f"{milliseconds[name]:.2f}"))
    return table(("router", *kinds, "ECE", "Brier", "ms"), lines)


def _gains(trials: Trials, first: str) -> str:
    others = {name: by_kind(parts) for name, parts in trials.items() if name != first and name not in UNFAIR}
    lines = []
    for kind, routed in by_kind(trials[first]).items():
        best = max(others, key=lambda name: others[name][kind].hits.mean())
        shares = (percent(float(each.hits.mean())) for each in (routed, others[best][kind]))
        lines.append((kind, str(len(routed.right)), *shares, best, interval(gain(routed, others[best][kind]))))
    return table(("requests", "count", first, "best other", "which", "difference"), lines)


def _conditions(trials: Trials) -> str:
    conditions = list(next(iter(trials.values())))
    lines = [
        (condition, *(percent(float(trials[name][condition].hits.mean())) for name in trials))
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
