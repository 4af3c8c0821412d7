"""How well a member is found that the router was not fitted on, known by a few of its requests.

usage: python benchmarks/router_newcomers.py --data DIR [--data DIR] [--more DIR] [--rows 300] [--examples 20]
       [--members a,b] [--work storage/router] [--page FILE]

Each member in turn is left out of fitting, all of whose requests go, and is then added by the first ``--examples`` of
its rows. *recall*: its requests, raw and phrased, for which it is then the first; *others*, *others_before*: how often
the requests of the rest find their member with and without it; *seconds*: reading its examples and setting its margin,
with the model loaded. Last line JSON.
"""

import argparse
import json
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from consilium.evaluation.markdown import percent, table
from consilium.members.base import BUILT_IN, Base, open_base
from consilium.members.catalogue import Catalogue
from consilium.routing.cascade import joined
from consilium.routing.classifier import Example
from consilium.routing.deep import DeepPath, StateEncoder
from consilium.routing.fitting import FitSettings
from consilium.routing.making import fit_fast, labelled, stage_shares, weighed
from consilium.routing.requests import gather
from consilium.routing.states import KeptStates
from consilium.settings import Settings
from consilium.training.data import data_of, split_of

TRIED = 200
"""Requests of each member."""
FIGURES = ("recall", "others", "others_before", "seconds")


class Trial:
    """The same requests for every newcomer, read once.

    Args:
        catalogue: the members.
        arguments: of the command.
        base: what reads.
    """

    def __init__(self, catalogue: Catalogue, arguments: argparse.Namespace, base: Base) -> None:
        requests = gather(catalogue, arguments.data, arguments.more, rows=arguments.rows)
        self.group_of = catalogue.group_of
        self.base = base
        self.settings = FitSettings()
        self.encoder = StateEncoder(base, self.settings.depth)
        self.read = KeptStates(self.encoder, base.name, arguments.work)
        members = tuple(self.group_of)
        alone = [*requests.trials["raw"], *requests.trials["phrased"]]
        tried = [each for name in members for each in _some([one for one in alone if one.member == name])]
        self.parts = [requests.fit, requests.dev, tried]
        self.states = [self.read([each.message for each in part]) for part in self.parts]

    def add(self, name: str, examples: Sequence[str]) -> dict[str, float]:
        """Fit without a member, add it, and return what the table says of it."""
        others = {other: group for other, group in self.group_of.items() if other != name}
        members = tuple(others)
        (fit, fit_states), (dev, dev_states) = (self._without(name, part) for part in (0, 1))
        known, weighing = labelled(fit, members), labelled(dev, members)
        deep = DeepPath.fit(fit_states, known.targets)
        stage = fit_fast(known, weighing, others, self.base, self.settings)
        shares = weighed(stage_shares(stage, [each.message for each in dev]), deep.logits(dev_states), weighing.targets)
        started = time.perf_counter()
        wider = deep.with_member(self.encoder.encode(examples))
        seconds = time.perf_counter() - started
        tried, states = self.parts[2], self.states[2]
        fast = stage_shares(stage, [each.message for each in tried])
        before, after = (joined(fast, path.logits(states), shares).argmax(-1) for path in (deep, wider))
        right = torch.tensor([(*members, name).index(each.member) for each in tried])
        own = right == len(members)
        return {
            "recall": (after == right)[own].double().mean().item(),
            "others": (after == right)[~own].double().mean().item(),
            "others_before": (before == right)[~own].double().mean().item(),
            "seconds": seconds,
        }

    def _without(self, name: str, part: int) -> tuple[list[Example], torch.Tensor]:
        kept = [place for place, each in enumerate(self.parts[part]) if each.member != name]
        return [self.parts[part][place] for place in kept], self.states[part][kept]


def _some(examples: Sequence[Example]) -> Sequence[Example]:
    return examples[:: max(1, len(examples) // TRIED)][:TRIED]


def page(found: dict[str, dict[str, float]]) -> str:
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
