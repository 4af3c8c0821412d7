"""Fit the fast stage's coarse path, and how the two paths are mixed."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch

from consilium.errors import BadSettings
from consilium.routing.hybrid import Hybrid
from consilium.routing.losses import constrained_gjs, cross_entropy, load_balance
from consilium.routing.network import CoarseNetwork
from consilium.routing.reading import Reader

if TYPE_CHECKING:
    from torch import Tensor

Regulariser: TypeAlias = Literal["gjs", "balance", "none"]
CALIBRATION_STEPS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """How a router is fitted."""

    inputs: int = 128
    """Length of a token's embedding in the router's own table."""
    depth: int = 16
    """Layers of the base that the deep stage runs."""
    deep_examples: int = 24_000
    """Examples that the deep stage is fitted on, as many of each member where there are: each is read by the base."""
    tuning_examples: int = 0
    """Examples that tune the deep stage's encoder, each once; 0: requests are read with the bare base."""
    tuning_rate: float = 6e-4
    """Its learning rate, the highest."""
    width: int = 128
    """Of the task encoder."""
    gate: str = "linear"
    temperature: float = 0.1
    """In nats a token: how much likelier a member must find the reference to be the righter one, see `soft_targets`."""
    epochs: int = 5
    batch: int = 128
    learning_rate: float = 4e-3
    regulariser: Regulariser = "none"
    """Neither HMoRA's constrained GJS loss nor load balancing gains anything here: docs/results/router-gates.md."""
    weight: float = 0.005
    """Of the regulariser; HMoRA's lambda."""
    dropout: float = 0.1
    left_out: float = 0.1
    """Share of a message's tokens that are left out, anew each time."""

    @property
    def shape(self) -> dict[str, Any]:
        """What has to be known to put the router together again, under the names of its card."""
        return {"depth": self.depth, "width": self.width, "gate": self.gate}


@dataclass(frozen=True, slots=True, kw_only=True)
class FitStep:
    """Where fitting stands."""

    done: int
    total: int
    loss: float
    """Of the last batch, in nats."""


def fit_coarse(
    reader: Reader,
    readings: Sequence[Sequence[int]],
    targets: "Tensor",
    group_of: Sequence[int],
    settings: FitSettings,
    *,
    seed: int = 0,
    on_step: Callable[[FitStep], None] | None = None,
) -> CoarseNetwork:
    """Return a network that decides on requests as the targets say.

    Args:
        reader: lays readings side by side.
        readings: the requests, by the ids of their tokens.
        targets: how far each member is the right one, [requests, members]; rows sum to 1.
        group_of: the group of each member, numbered from 0.
        settings: how to fit.
        seed: of the start, of shuffling and of what is left out.
        on_step: told about progress.

    Raises:
        BadSettings: no requests, or not as many targets.
    """
    if not readings or len(readings) != len(targets):
        raise BadSettings(f"{len(readings)} requests and {len(targets)} targets: give one target a request.")
    groups = max(group_of) + 1
    by_group = torch.zeros(len(targets), groups).index_add(1, torch.tensor(group_of), targets)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = CoarseNetwork(
            len(group_of),
            groups,
            inputs=settings.inputs,
            width=settings.width,
            gate=settings.gate,
            dropout=settings.dropout,
        )
        optimiser = torch.optim.AdamW(network.parameters(), settings.learning_rate)
        total = settings.epochs * math.ceil(len(readings) / settings.batch)
        rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, total_steps=total)
        network.train()
        for done, chosen in enumerate(_batches(readings, settings), 1):
            batch = reader.batch([_thinned(readings[row], settings.left_out) for row in chosen.tolist()])
            of_groups, of_members = network(batch)
            loss = cross_entropy(of_groups, by_group[chosen]) + cross_entropy(of_members, targets[chosen])
            loss = loss + settings.weight * (_asked(of_groups, settings) + _asked(of_members, settings))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rates.step()
            if on_step and (done % 20 == 0 or done == total):
                on_step(FitStep(done=done, total=total, loss=float(loss.detach())))
    return network.eval()


def calibrate(
    group_of: Sequence[int], fine: "Tensor", coarse_groups: "Tensor", coarse_members: "Tensor", targets: "Tensor"
) -> Hybrid:
    """Return the mixture of the two paths under which requests that neither has learned from are likeliest.

    Args:
        group_of: the group of each member.
        fine: logits of members, [requests, members].
        coarse_groups: logits of groups, [requests, groups].
        coarse_members: logits of members, [requests, members].
        targets: how far each member is the right one, [requests, members].
    """
    hybrid = Hybrid(group_of)
    optimiser = torch.optim.Adam(hybrid.parameters(), 0.05)
    for _ in range(CALIBRATION_STEPS):
        found = hybrid(fine, coarse_groups, coarse_members)
        optimiser.zero_grad()
        cross_entropy(found.members.mixed.clamp(min=1e-9).log(), targets).backward()
        optimiser.step()
    return hybrid.eval()


def _asked(logits: "Tensor", settings: FitSettings) -> "Tensor":
    """Return what is asked of a batch's decisions beyond being right."""
    if settings.regulariser == "none" or logits.shape[-1] < 2:
        return torch.zeros(())
    decisions = logits.softmax(-1)
    return constrained_gjs(decisions) if settings.regulariser == "gjs" else load_balance(decisions)


def _batches(readings: Sequence[Sequence[int]], settings: FitSettings) -> "Iterator[Tensor]":
    """Yield requests of about the same length, in an order drawn anew each epoch."""
    lengths = torch.tensor([float(len(reading)) for reading in readings])
    for _ in range(settings.epochs):
        # Lengths are jittered, so that batches differ between epochs and fillers stay few.
        order = (lengths * (1 + 0.3 * torch.rand(len(readings)))).argsort()
        batches = torch.split(order, settings.batch)
        for number in torch.randperm(len(batches)).tolist():
            yield batches[number]


def _thinned(reading: Sequence[int], share: float) -> Sequence[int]:
    """Leave out about a share of the message's tokens, but never all."""
    kept = (torch.rand(len(reading)) >= share).tolist()
    return [token for token, stays in zip(reading, kept, strict=True) if stays] or reading
