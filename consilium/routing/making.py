"""Make a router: fit both stages on examples, and weigh them on others."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from consilium.errors import BadSettings
from consilium.members.base import Base
from consilium.routing.cascade import joined
from consilium.routing.classifier import Example
from consilium.routing.deep import QUESTION, DeepPath, StateEncoder
from consilium.routing.embedding import embedding_table
from consilium.routing.fine import FinePath
from consilium.routing.fitting import FitSettings, FitStep, calibrate, fit_coarse
from consilium.routing.losses import cross_entropy
from consilium.routing.network import CoarseNetwork
from consilium.routing.reading import Reader
from consilium.routing.router_file import RouterCard
from consilium.routing.table import TokenTable

if TYPE_CHECKING:
    from torch import Tensor

WORSE = 0.001
"""How much more often than both stages together the fast one may be wrong where it is trusted alone."""
_AT_ONCE = 256
_READ_AT_ONCE = 2_048


def make_router(
    examples: Sequence[Example],
    dev: Sequence[Example],
    group_of: Mapping[str, int],
    encoder: Base,
    *,
    settings: FitSettings | None = None,
    kept: Path | None = None,
    seed: int = 0,
    on_step: Callable[[str, FitStep], None] | None = None,
) -> "tuple[RouterCard, dict[str, Tensor]]":
    """Return a router's card and tensors.

    Args:
        examples: to learn from.
        dev: to weigh paths and stages on, none of them among the examples.
        group_of: the number of each member's group; only these members may be named by an example.
        encoder: the base to read with.
        settings: how the coarse path is fitted.
        kept: a folder where states of the encoder are kept, so that they are read once.
        seed: of everything that is drawn.
        on_step: told what is being done and where that stands.

    Raises:
        BadSettings: an example for a member without a group, or no examples of two members.
        MissingExtra: scikit-learn is not installed.
    """
    settings = settings or FitSettings()
    members = tuple(group_of)
    if strangers := {each.member for each in (*examples, *dev)} - group_of.keys():
        raise BadSettings(f"an example names {min(strangers)!r}, which is in no group. Give the groups of all members.")
    labels, dev_labels = (torch.tensor([members.index(each.member) for each in part]) for part in (examples, dev))
    targets, dev_targets = torch.eye(len(members))[labels], torch.eye(len(members))[dev_labels]
    read = partial(_states, StateEncoder(encoder, settings.depth), encoder.name, kept, on_step)

    drawn = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed))[: settings.deep_examples]
    deep = DeepPath.fit(read([examples[number] for number in drawn.tolist()]), targets[drawn])
    fast, tensors = _fitted_fast(examples, dev, targets, dev_targets, group_of, encoder, settings, seed, on_step)
    deep_logits = deep.logits(read(dev))
    shares = weighed(fast, deep_logits, dev_targets)
    card = RouterCard(
        members=members,
        group_of=tuple(group_of.values()),
        encoder=encoder.name,
        depth=settings.depth,
        width=settings.width,
        gate=settings.gate,
        certain=certainty(fast, deep_logits, shares, dev_labels),
        shares=shares,
        made={"examples": len(examples), "dev": len(dev), "seed": seed, "settings": asdict(settings)},
    )
    return card, {**tensors, **deep.tensors()}


def _fitted_fast(
    examples: Sequence[Example],
    dev: Sequence[Example],
    targets: "Tensor",
    dev_targets: "Tensor",
    group_of: Mapping[str, int],
    encoder: Base,
    settings: FitSettings,
    seed: int,
    on_step: Callable[[str, FitStep], None] | None,
) -> "tuple[Tensor, dict[str, Tensor]]":
    """Return what the fast stage thinks of the dev examples, [examples, members], and its tensors."""
    from tokenizers import Tokenizer

    members, numbers = tuple(group_of), list(group_of.values())
    fine = FinePath.fit([each.message for each in examples], targets.argmax(-1).tolist(), len(members), seed=seed)
    table = TokenTable.reduced(embedding_table(encoder.path), settings.inputs)
    reader = Reader(Tokenizer.from_file(str(encoder.path / "tokenizer.json")), table)
    readings = [reader.read(each.message, each.before, _number(each.sat, members)) for each in examples]
    told = (lambda step: on_step("coarse path", step)) if on_step else None
    coarse = fit_coarse(reader, readings, targets, numbers, settings, seed=seed, on_step=told)
    logits = (fine.logits([each.message for each in dev]), *_coarse_logits(coarse, reader, dev, members))
    hybrid = calibrate(numbers, *logits, dev_targets)
    with torch.no_grad():
        fast: Tensor = hybrid(*logits).members.mixed
    state = {f"coarse.{name}": value for name, value in coarse.state_dict().items()}
    state |= {f"hybrid.{name}": value for name, value in hybrid.state_dict().items()}
    return fast, {**table.tensors(), **fine.tensors(), **state}


def weighed(fast: "Tensor", deep: "Tensor", targets: "Tensor") -> tuple[float, float]:
    """Return the shares of both stages under which requests that neither has learned from are likeliest.

    Args:
        fast: probabilities, [requests, members].
        deep: logits, [requests, members].
        targets: how far each member is the right one, [requests, members].
    """
    shares = torch.zeros(2, requires_grad=True)
    optimiser = torch.optim.Adam([shares], 0.05)
    for _ in range(200):
        powers = shares.exp()
        logits = powers[0] * fast.clamp(min=1e-9).log() + powers[1] * deep.log_softmax(-1)
        optimiser.zero_grad()
        cross_entropy(logits, targets).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    fast_share, deep_share = shares.detach().exp().tolist()
    return fast_share, deep_share


def certainty(fast: "Tensor", deep: "Tensor", shares: tuple[float, float], labels: "Tensor") -> float:
    """Return the least certainty from which on the fast stage may decide alone.

    There the whole cascade is wrong for at most a share `WORSE` of the requests more than both stages together are.
    """
    sure, alone = fast.max(-1)
    both = joined(fast, deep, shares).argmax(-1)
    order = sure.argsort(descending=True)
    lost = ((both == labels).int() - (alone == labels).int())[order].cumsum(0)
    allowed = (lost <= WORSE * len(labels)).nonzero()
    return float(sure[order][allowed[-1]]) if len(allowed) else 2.0


def _number(name: str, members: Sequence[str]) -> int:
    return members.index(name) if name in members else -1


def _coarse_logits(
    network: CoarseNetwork, reader: Reader, examples: Sequence[Example], members: Sequence[str]
) -> "tuple[Tensor, Tensor]":
    """Return logits of groups and of members, [examples, choices]."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(examples), _AT_ONCE):
            part = examples[start : start + _AT_ONCE]
            readings = [reader.read(each.message, each.before, _number(each.sat, members)) for each in part]
            found.append(network(reader.batch(readings)))
    groups, of_members = (torch.cat(logits).clone() for logits in zip(*found, strict=True))
    return groups, of_members


def _states(
    encoder: StateEncoder,
    name: str,
    kept: Path | None,
    on_step: Callable[[str, FitStep], None] | None,
    examples: Sequence[Example],
) -> "Tensor":
    """Return the states of examples, read now or before."""
    turns = [(each.message, each.before, each.sat) for each in examples]
    digest = hashlib.sha256(json.dumps([name, encoder.depth, QUESTION, turns]).encode()).hexdigest()
    path = kept / f"states-{digest[:16]}.npy" if kept else None
    if path and path.exists():
        return torch.from_numpy(np.load(path))
    parts = []
    for start in range(0, len(turns), _READ_AT_ONCE):
        parts.append(encoder.encode(*zip(*turns[start : start + _READ_AT_ONCE], strict=True)))
        if on_step:
            on_step("reading", FitStep(done=min(start + _READ_AT_ONCE, len(turns)), total=len(turns), loss=0.0))
    states = torch.cat(parts).clone()  # of which gradients may be taken
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, states.numpy())
    return states
