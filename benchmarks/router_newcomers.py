"""How well a member is found that the router was not fitted on, known by a few of its requests.

usage: python benchmarks/router_newcomers.py --data DIR [--data DIR] [--more DIR] [--rows 300] [--examples 20]
       [--members a,b] [--work storage/router] [--page FILE]

Each member in turn is left out of fitting, all of whose requests go, and is then added to the finished router by the
first ``--examples`` of its rows; nobody is heard, which decides who sits, and not who is likeliest. *raw*, *phrased*:
its requests as they are, and as the router's page has them under unseen instructions, for which it is then the
likeliest; *recall*: both together, as many of each; *others*, *others_before*: how often those of the rest find their
member with and without it; *seconds*: the first decision with it, for which its examples are read and it is fitted
beside the others, with the model loaded. Last line JSON.
"""

import argparse
import json
import shlex
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from consilium.evaluation.markdown import percent, table
from consilium.members.base import BUILT_IN, Base, open_base
from consilium.members.catalogue import Catalogue
from consilium.routing.cascade import Cascade
from consilium.routing.classifier import Example
from consilium.routing.deep import StateEncoder
from consilium.routing.making import make_router
from consilium.routing.requests import gather
from consilium.routing.router_file import RouterTensors
from consilium.routing.states import KeptStates
from consilium.settings import Settings
from consilium.training.data import data_of, split_of

KINDS = ("raw", "phrased")
TRIED = 100
"""Requests of each kind and member."""
FIGURES = (*KINDS, "recall", "others", "others_before", "seconds")


class Trial:
    """The same requests for every newcomer, each read once.

    Args:
        catalogue: the members.
        arguments: of the command.
        base: what reads.
    """

    def __init__(self, catalogue: Catalogue, arguments: argparse.Namespace, base: Base) -> None:
        self.requests = gather(catalogue, arguments.data, arguments.more, rows=arguments.rows)
        self.group_of = catalogue.group_of
        self.base = base
        self.work = arguments.work
        self.tried = {kind: _some(self.requests.trials[kind]) for kind in KINDS}

    def add(self, name: str, examples: Sequence[str]) -> dict[str, float]:
        """Fit without a member, add it, and return what the table says of it."""
        fit, dev = ([each for each in part if each.member != name] for part in (self.requests.fit, self.requests.dev))
        others = {other: group for other, group in self.group_of.items() if other != name}
        card, tensors = make_router(
            fit,
            dev,
            others,
            self.base,
            open_work=self.requests.open_work,
            unlabelled=self.requests.unlabelled,
            stays=self.requests.stays,
            kept=self.work,
        )
        file, encoder = RouterTensors(card=card, tensors=tensors, digest=""), StateEncoder(self.base, card.depth)
        started = time.perf_counter()
        Cascade(file, self.base, {name: examples}, encoder.encode).scores("")
        seconds = time.perf_counter() - started
        read = KeptStates(encoder, self.base.name, self.work)
        alone, joined = (Cascade(file, self.base, newcomers, read) for newcomers in ({}, {name: examples}))
        for tried in self.tried.values():
            read([alone.read(each.message) for each in tried])  # together, which is faster than one by one
        before, after = ({kind: _found(each, self.tried[kind]) for kind in KINDS} for each in (alone, joined))
        own = {kind: [each.member == name for each in self.tried[kind]] for kind in KINDS}
        recalls = {kind: _share(after[kind], own[kind], True) for kind in KINDS}
        return {
            **recalls,
            "recall": statistics.fmean(recalls.values()),
            "others": statistics.fmean(_share(after[kind], own[kind], False) for kind in KINDS),
            "others_before": statistics.fmean(_share(before[kind], own[kind], False) for kind in KINDS),
            "seconds": seconds,
        }


def _found(cascade: Cascade, tried: Sequence[Example]) -> list[bool]:
    """Return whether the likeliest member is the right one, of each request."""
    found = [cascade.scores(each.message).scores for each in tried]
    likeliest = [max(scores, key=scores.__getitem__) for scores in found]
    return [name == each.member for name, each in zip(likeliest, tried, strict=True)]


def _share(found: Sequence[bool], own: Sequence[bool], wanted: bool) -> float:
    return statistics.fmean(right for right, of_newcomer in zip(found, own, strict=True) if of_newcomer == wanted)


def _some(examples: Sequence[Example]) -> list[Example]:
    """Draw so many of each member."""
    by_member: dict[str, list[Example]] = {}
    for each in examples:
        by_member.setdefault(each.member, []).append(each)
    return [each for own in by_member.values() for each in Random(0).sample(own, min(TRIED, len(own)))]


def page(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return the page."""
    lines = [
        (name, *(percent(each[figure]) for figure in FIGURES[:-1]), f"{each['seconds']:.1f}")
        for name, each in found.items()
    ]
    parts = [
        "# Members that the router was not fitted on",
        f"Written by\n\n```\n{shlex.join(['python', *sys.argv])}\n```",
        "What the figures mean: `--help`.",
        table(("member", *FIGURES), lines),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Run, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--more", type=Path)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--examples", type=int, default=20)
    parser.add_argument("--members", default="")
    parser.add_argument("--personas", type=Path)
    parser.add_argument("--work", type=Path, default=Path("storage/router"))
    parser.add_argument("--page", type=Path)
    arguments = parser.parse_args()
    settings = Settings.load(personas=arguments.personas)
    catalogue = Catalogue.load(settings.personas)
    names = arguments.members.split(",") if arguments.members else _skilled(catalogue, arguments.data)
    trial = Trial(catalogue, arguments, open_base(BUILT_IN, cache=settings.cache_dir))
    found = {}
    for name in names:
        rows = split_of(catalogue.get(name), arguments.data).train[: arguments.examples]
        found[name] = trial.add(name, [row.request for row in rows])
        print(f"{name:<12}", *(f"{figure} {value:.3f}" for figure, value in found[name].items()), file=sys.stderr)
    if arguments.page:
        arguments.page.write_text(page(found), encoding="utf-8")
    recalls = [each["recall"] for each in found.values()]
    lost = max(each["others_before"] - each["others"] for each in found.values())
    print(json.dumps({"mean": statistics.fmean(recalls), "worst": min(recalls), "most_lost": lost, "members": found}))


def _skilled(catalogue: Catalogue, folders: Sequence[Path]) -> list[str]:
    """Return the members that have rows and are no characters, whose bare topics might be anybody's."""
    members = [each for each in catalogue.members.values() if data_of(each, folders) is not None]
    return [each.name for each in members if each.persona.training and each.persona.training.rows.kind != "passages"]


if __name__ == "__main__":
    main()
