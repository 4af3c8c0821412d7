"""The same router on public sets: CLINC150's intents in domains, and SGD's services turn by turn.

usage: python benchmarks/router_elsewhere.py --more ../shared/data/router [--work storage/router] [--page FILE]

CLINC150: members are the 150 intents and one for what is out of scope, groups are the ten domains and that one; fitted
on ``train`` and four fifths of ``oos_train``, weighed on ``val`` and the last fifth, tried on ``test`` and ``oos_val``.
*domain*, *intent*: share of the requests in scope that are decided rightly; *oos_auroc*: how well the score of the
member for what is out of scope tells it from the rest.

SGD: members are the service families; fitted on half of the dialogues (turns that open a service are its member's, all
others leave it with whoever answered last), weighed on a sixth, tried on a third, each turn of the user with whoever
the router itself had seated before. *turn*: share of the turns that
go to a service which the turn is about; *switch_at_once*: of the turns where the service changes, those where the
router follows at once; *latency*: turns until it does, in the mean, where it does before the next change; *stays*:
share of the other turns on which it stays. Last line JSON.
"""

import argparse
import json
import shlex
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sklearn.metrics import roc_auc_score

from consilium.evaluation.markdown import table
from consilium.members.base import BUILT_IN, Base, open_base
from consilium.routing.cascade import Cascade
from consilium.routing.classifier import Example
from consilium.routing.making import make_router
from consilium.routing.router_file import RouterTensors
from consilium.settings import Settings
from consilium.training.rows import read_jsonl

NOBODY = "out_of_scope"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a user says, and the services it is about, a new one first."""

    message: str
    services: tuple[str, ...]


def main() -> None:
    """Fit, try, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--more", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("storage/router"))
    parser.add_argument("--page", type=Path)
    arguments = parser.parse_args()
    base = open_base(BUILT_IN, cache=Settings.load().cache_dir)
    figures = {
        "clinc150": clinc150(arguments.more / "clinc150", base, arguments.work),
        "sgd": sgd(arguments.more / "sgd" / "dialogues.jsonl", base, arguments.work),
    }
    text = page(figures)
    print(text)
    if arguments.page:
        arguments.page.write_text(text, encoding="utf-8")
    print(json.dumps(figures))


def made(
    fit: Sequence[Example],
    dev: Sequence[Example],
    group_of: Mapping[str, int],
    base: Base,
    work: Path,
    stays: Sequence[str] = (),
) -> Cascade:
    """Fit a router for these members."""
    last = ""

    def told(what: str, step: object) -> None:
        nonlocal last
        if what != last:
            print(what, file=sys.stderr)
            last = what

    card, tensors = make_router(fit, dev, group_of, base, stays=stays, kept=work, on_step=told)
    return Cascade(RouterTensors(card=card, tensors=tensors, digest=""), base)


def clinc150(folder: Path, base: Base, work: Path) -> dict[str, float]:
    """Return the figures of CLINC150."""
    domains = json.loads((folder / "domains.json").read_text(encoding="utf-8"))
    domain_of = {intent: domain for domain, intents in domains.items() for intent in intents} | {NOBODY: NOBODY}
    numbers = {domain: number for number, domain in enumerate((*domains, NOBODY))}
    group_of = {intent: numbers[domain] for intent, domain in domain_of.items()}

    def read(*parts: str) -> list[Example]:
        rows = [row for part in parts for _, row in read_jsonl(folder / f"{part}.jsonl")]
        return [
            Example(message=row["text"], member=row["intent"] if row["intent"] in domain_of else NOBODY) for row in rows
        ]

    outside_known = read("oos_train")
    border = len(outside_known) * 4 // 5
    fit, dev = [*read("train"), *outside_known[:border]], [*read("val"), *outside_known[border:]]
    cascade = made(fit, dev, group_of, base, work)
    domain, intent, fast, outside, of_nobody = [], [], [], [], []
    for each in read("test", "oos_val"):
        found = cascade.scores(each.message)
        by_domain = dict.fromkeys(numbers, 0.0)
        for name, score in found.scores.items():
            by_domain[domain_of[name]] += score
        outside.append(each.member == NOBODY)
        of_nobody.append(found.scores[NOBODY])
        fast.append(found.deep is None)
        if each.member != NOBODY:
            domain.append(max(by_domain, key=lambda name: by_domain[name]) == domain_of[each.member])
            intent.append(max(found.scores, key=lambda name: found.scores[name]) == each.member)
    return {
        "requests": len(outside),
        "domain": statistics.fmean(domain),
        "intent": statistics.fmean(intent),
        "oos_auroc": float(roc_auc_score(outside, of_nobody)),
        "fast_share": statistics.fmean(fast),
    }


def sgd(file: Path, base: Base, work: Path) -> dict[str, float]:
    """Return the figures of SGD."""
    dialogues = [list(turns(dialogue)) for _, dialogue in read_jsonl(file)]
    names = sorted({service for dialogue in dialogues for turn in dialogue for service in turn.services})
    parts: list[list[list[Turn]]] = [[], [], []]
    for number, dialogue in enumerate(dialogues):
        parts[(0, 0, 0, 1, 2, 2)[number % 6]].append(dialogue)
    fit, dev = ([each for dialogue in part for each in opening(dialogue)] for part in parts[:2])
    continued = [turn.message for dialogue in parts[0] for turn in continuing(dialogue)]
    cascade = made(fit, dev, dict.fromkeys(names, 0), base, work, continued)
    right, at_once, stays, latencies = [], [], [], []
    for dialogue in parts[2]:
        sat, waiting = "", None
        for turn, earlier in zip(dialogue, [None, *dialogue], strict=False):
            scores = cascade.scores(turn.message, sat).scores
            sat = max(scores, key=lambda name: scores[name])
            right.append(sat in turn.services)
            if earlier is None:
                continue
            switched = turn.services[0] not in earlier.services
            if switched:
                at_once.append(sat == turn.services[0])
                waiting = 0
            else:
                stays.append(sat in turn.services)
            if waiting is not None:
                if sat == turn.services[0]:
                    latencies.append(waiting)
                waiting = None if sat == turn.services[0] else waiting + 1
    return {
        "turns": len(right),
        "turn": statistics.fmean(right),
        "switches": len(at_once),
        "switch_at_once": statistics.fmean(at_once),
        "latency": statistics.fmean(latencies),
        "followed": len(latencies) / len(at_once),
        "stays": statistics.fmean(stays),
    }


def turns(dialogue: Mapping[str, list[dict[str, list[str] | str]]]) -> Iterator[Turn]:
    """Yield what the user says."""
    for turn in dialogue["turns"]:
        if turn["speaker"] == "USER":
            services = tuple(dict.fromkeys(str(name).rpartition("_")[0].lower() for name in turn["services"]))
            yield Turn(message=str(turn["utterance"]), services=services)


def opening(dialogue: Sequence[Turn]) -> Iterator[Example]:
    """Yield the turns that open a service."""
    for turn, earlier in zip(dialogue, [None, *dialogue], strict=False):
        if earlier is None or turn.services[0] not in earlier.services:
            yield Example(message=turn.message, member=turn.services[0])


def continuing(dialogue: Sequence[Turn]) -> Iterator[Turn]:
    """Yield the others."""
    for turn, earlier in zip(dialogue[1:], dialogue, strict=False):
        if turn.services[0] in earlier.services:
            yield turn


def page(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Return the page."""
    command = shlex.join(["python", *sys.argv])
    parts = ["# The router on public sets", f"Written by\n\n```\n{command}\n```", "What the figures mean: `--help`."]
    for name, found in figures.items():
        lines = [
            (figure, f"{value:.3f}" if isinstance(value, float) else f"{value:,}") for figure, value in found.items()
        ]
        parts += [f"## {name}", table(("figure", "value"), lines)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
