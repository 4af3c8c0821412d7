"""Which gate, which mixture of paths, and which regulariser: fast stages fitted on the same requests, and tried.

usage: python benchmarks/router_gates.py --data DIR [--data DIR] [--more DIR] [--rows 300] [--seeds 3] [--page FILE]

Every fast stage is fitted on the same examples and weighed on the same others; nothing tells them apart but what the
table says. *entropy*: of one decision, *use*: of the mean decision on an equal number of requests of each member, both
as shares of the largest; *regret*: nats a token by which the reference of a member's held-out row is likelier under the
best speaker than under the first member (``--heard`` rows of each; what members answer is kept in ``--work``); *ms*: a
decision on 64 tokens, the median of 100, one thread, in time of the process. Last line JSON.
"""

import argparse
import asyncio
import json
import shlex
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from consilium.engines.embedded.engine import EmbeddedEngine
from consilium.evaluation.answers import Answers
from consilium.evaluation.bootstrap import mean_interval
from consilium.evaluation.markdown import interval, percent, table
from consilium.evaluation.pictures import empty, save
from consilium.evaluation.routed import Routed, pooled
from consilium.evaluation.router_page import by_kind
from consilium.evaluation.seating import likelihoods, regrets
from consilium.evaluation.tasks import Tasks
from consilium.members.base import BUILT_IN, Base, open_base
from consilium.members.catalogue import Catalogue
from consilium.routing.addressed import without_addresses
from consilium.routing.cascade import FastStage
from consilium.routing.classifier import Example
from consilium.routing.fitting import FitSettings, Regulariser
from consilium.routing.gates import GATES
from consilium.routing.making import as_read, fit_fast, labelled
from consilium.routing.requests import Requests, gather
from consilium.settings import Settings
from consilium.training.data import data_of
from consilium.training.rows import Row

PATHS = ("fine", "coarse", "mixed")
REGULARISERS: tuple[Regulariser, ...] = get_args(Regulariser)
LONG = "Find every shell script below this folder that was changed last week and make it executable. " * 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A fast stage, and its decisions by path and kind of request."""

    stage: FastStage
    trials: Mapping[str, Mapping[str, Routed]]


def main() -> None:
    """Fit, try, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--more", type=Path)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--heard", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("storage/evaluation"))
    parser.add_argument("--page", type=Path)
    arguments = parser.parse_args()
    settings = Settings.load()
    catalogue, base = Catalogue.load(settings.personas), open_base(BUILT_IN, cache=settings.cache_dir)
    requests = gather(catalogue, arguments.data, arguments.more, rows=arguments.rows)
    rows, nats = asyncio.run(hear(catalogue, base, arguments))
    fit = cache(partial(fitted, requests, catalogue, base))  # the default gate and regulariser are in both tables
    gates = {gate: fit(FitSettings(gate=gate), 0) for gate in GATES}
    regularised = {
        name: [fit(FitSettings(regulariser=name), seed) for seed in range(arguments.seeds)] for name in REGULARISERS
    }
    figures = {name: gate_figures(found, rows, nats, catalogue) for name, found in gates.items()}
    text = page(figures, halves(regularised[FitSettings().regulariser]), losses(regularised))
    print(text)
    if arguments.page:
        arguments.page.write_text(text, encoding="utf-8")
        draw(figures, arguments.page.with_suffix(".svg"))
    print(json.dumps({"gates": figures}))


async def hear(
    catalogue: Catalogue, base: Base, arguments: argparse.Namespace
) -> tuple[list[Row], NDArray[np.float64]]:
    """Return held-out rows of each member, and how likely everybody finds their references, [rows, members]."""
    members = [each for each in catalogue.members.values() if each.adapter and data_of(each, arguments.data)]
    tasks = Tasks(catalogue.members.values(), arguments.data, sample=arguments.heard)
    rows = [row for member in members for row in tasks.read(member).spoken]
    arguments.work.mkdir(parents=True, exist_ok=True)
    async with EmbeddedEngine(base, catalogue) as engine:
        return rows, await likelihoods(Answers(engine, arguments.work / "answers.jsonl"), rows, catalogue)


def fitted(requests: Requests, catalogue: Catalogue, base: Base, settings: FitSettings, seed: int) -> Fitted:
    """Fit a fast stage, and let it decide on all trials."""
    group_of = catalogue.group_of
    members = tuple(group_of)
    fit, dev = (as_read(labelled(part, members), members) for part in (requests.fit, requests.dev))
    started = time.monotonic()
    stage = fit_fast(fit, dev, group_of, base, settings, seed=seed)
    found = {name: decided(stage, trial, members) for name, trial in requests.trials.items()}
    trials = {path: by_kind({name: parts[path] for name, parts in found.items()}) for path in PATHS}
    mixed = {kind: percent(routed.hits.mean()) for kind, routed in trials["mixed"].items()}
    print(
        f"{settings.gate} {settings.regulariser} {seed}: {mixed}, {time.monotonic() - started:.0f} s", file=sys.stderr
    )
    return Fitted(stage=stage, trials=trials)


def decided(stage: FastStage, trial: Sequence[Example], members: tuple[str, ...]) -> dict[str, Routed]:
    """Return the decisions of either path and of both."""
    messages = [without_addresses(each.message, members) for each in trial]
    parts = [stage.decide(messages[at : at + 256]).members for at in range(0, len(trial), 256)]
    right = np.array([members.index(each.member) for each in trial])
    scores = {path: torch.cat([getattr(part, path) for part in parts]).double().numpy() for path in PATHS}
    return {path: Routed(members=members, scores=scores[path], right=right) for path in PATHS}


def gate_figures(
    found: Fitted, rows: Sequence[Row], nats: NDArray[np.float64], catalogue: Catalogue
) -> dict[str, float]:
    """Return what a table says of a gate."""
    stage, members = found.stage, tuple(catalogue.members)
    asked = [Example(message=row.request, member=members[0]) for row in rows]
    places = decided(stage, asked, members)["mixed"].scores.argmax(1)
    mixed = found.trials["mixed"]
    shares = pooled([mixed["raw"], mixed["phrased"]]).scores
    right = pooled([mixed["raw"], mixed["phrased"]]).right
    mean = np.mean([shares[right == member].mean(0) for member in np.unique(right)], axis=0)
    return {
        **{kind: float(routed.hits.mean()) for kind, routed in mixed.items()},
        "regret": float(regrets(nats, places.tolist()).mean()),
        "entropy": float(np.mean([entropy(row) for row in shares])),
        "use": entropy(mean),
        "parameters": sum(parameter.numel() for parameter in stage.coarse.parameters()),
        "ms": milliseconds(stage),
    }


def entropy(shares: NDArray[np.float64]) -> float:
    """Return the entropy of a decision as a share of the largest there is."""
    return float(-(shares * np.log(shares.clip(1e-12))).sum() / np.log(len(shares)))


def milliseconds(stage: FastStage) -> float:
    """Return what a decision takes, the median, whatever else the machine does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    spans = []
    for _ in range(110):
        started = time.process_time()
        stage.decide([LONG])
        spans.append(1e3 * (time.process_time() - started))
    torch.set_num_threads(threads)
    return statistics.median(spans[10:])


def mean_hits(found: Sequence[Fitted], path: str, kind: str) -> NDArray[np.float64]:
    """Return how many of the seeds were right on each request."""
    hits: NDArray[np.float64] = np.mean([each.trials[path][kind].hits for each in found], axis=0)
    return hits


def halves(found: Sequence[Fitted]) -> str:
    """Return a table of both paths and their mixture."""
    lines = []
    for kind in found[0].trials["mixed"]:
        hits = {path: mean_hits(found, path, kind) for path in PATHS}
        gains = (interval(mean_interval(hits["mixed"] - hits[path])) for path in ("fine", "coarse"))
        lines.append((kind, *(percent(hits[path].mean()) for path in PATHS), *gains))
    return table(("requests", "fine", "coarse", "both", "both - fine", "both - coarse"), lines)


def losses(found: Mapping[Regulariser, Sequence[Fitted]]) -> str:
    """Return a table of regularisers."""
    lines = []
    for kind in found["gjs"][0].trials["mixed"]:
        hits = {name: mean_hits(each, "mixed", kind) for name, each in found.items()}
        gains = (interval(mean_interval(hits["gjs"] - hits[name])) for name in ("balance", "none"))
        lines.append((kind, *(percent(hits[name].mean()) for name in REGULARISERS), *gains))
    return table(("requests", *REGULARISERS, "gjs - balance", "gjs - none"), lines)


def page(gates: Mapping[str, Mapping[str, float]], of_halves: str, of_losses: str) -> str:
    """Return the page."""
    kinds = [kind for kind in next(iter(gates.values())) if kind not in NOT_KINDS]
    lines = [
        (
            name,
            f"{found['parameters']:,}",
            *(percent(found[kind]) for kind in kinds),
            f"{found['regret']:.3f}",
            *(f"{found[figure]:.3f}" for figure in ("entropy", "use")),
            f"{found['ms']:.2f}",
        )
        for name, found in gates.items()
    ]
    command = shlex.join(["python", *sys.argv])
    return (
        "\n\n".join(
            (
                "# Gates, paths and regularisers of the fast stage",
                f"Written by\n\n```\n{command}\n```",
                "Shares in percent of requests whose first member is the right one, in the kinds of "
                "[the router's page](router.md); the fast stage alone. What the columns mean: `--help`.",
                "## Gates",
                table(("gate", "parameters", *kinds, "regret", "entropy", "use", "ms"), lines),
                "![Accuracy by gate, and how sure and how evenly it decides](router-gates.svg)",
                "## The hybrid and its halves",
                f"Of what ships: {FitSettings().gate} gates, regulariser {FitSettings().regulariser!r}. Means over the "
                "seeds; differences with the 95 % interval, requests drawn in pairs.",
                of_halves,
                "## The constrained GJS loss, load balancing, and neither",
                of_losses,
            )
        )
        + "\n"
    )


NOT_KINDS = ("regret", "entropy", "use", "parameters", "ms")


def draw(gates: Mapping[str, Mapping[str, float]], file: Path) -> None:
    """Draw accuracy by gate, and entropy against use."""
    figure = empty(9, 3.4)
    left, right = figure.subplots(1, 2)
    for kind in ("raw", "phrased", "shift"):
        left.plot(list(gates), [100 * found[kind] for found in gates.values() if kind in found], "o", label=kind)
    left.set_ylabel("right, %")
    left.tick_params(axis="x", rotation=30)
    left.legend(fontsize=7)
    for name, found in gates.items():
        right.scatter(found["entropy"], found["use"], label=name, s=18)
    right.set_xlabel("entropy of a decision")
    right.set_ylabel("use: entropy of the mean")
    right.legend(fontsize=7)
    save(figure, file)


if __name__ == "__main__":
    main()
