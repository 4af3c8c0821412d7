"""A council of invented members on the real base model, and one that needs no model at all."""

from pathlib import Path

import numpy as np

from consilium.members.base import BUILT_IN, Base, open_base
from consilium.members.catalogue import ADAPTER_FOLDER, Catalogue
from consilium.routing.protocol import Decision, Request, certain, shares
from consilium.settings import Settings
from tests.support.adapters import RANK, config_bytes, header_and_body, weights_bytes, write_adapter
from tests.support.personas import TRAINING, write_catalogue, write_persona

FITTING = {f"base_model.model.model.layers.{layer}.self_attn.q_proj": (576, 576) for layer in range(30)}
"""Modules of the built-in base."""


def real_base() -> Base:
    """Return the built-in base; provisions it on the first run."""
    return open_base(BUILT_IN, cache=Settings.load().cache_dir)


def fitting_weights(seed: int, *, spread: float = 0.08, spoil: float | None = None) -> bytes:
    """Return weights that fit the built-in base and change what it says, wholly where they spread wide.

    ``spoil`` replaces the last value.
    """
    header, body = header_and_body(modules=FITTING)
    values = np.frombuffer(body, "<f4") * 4 + np.random.default_rng(seed).normal(0, spread, len(body) // 4)
    tensors = values.astype("<f4")
    if spoil is not None:
        tensors[-1] = spoil
    return weights_bytes(header, tensors.tobytes())


def write_fitting_member(root: Path, name: str, base: str, weights: bytes) -> None:
    """Write a member of group ``crew`` whose adapter lies on ``base``."""
    pin = write_adapter(
        root / name / ADAPTER_FOLDER, config=config_bytes(base_model_name_or_path=base, r=RANK), weights=weights
    )
    pin = pin.model_copy(update={"base": base})
    write_persona(root, name, "crew", training=TRAINING, adapter=pin.model_dump())


def write_crew(root: Path, base: str) -> Catalogue:
    """Write and load a catalogue of two adapted members, ``pilot`` and ``mate``, and the bare ``clerk``."""
    write_fitting_member(root, "pilot", base, fitting_weights(1))
    write_fitting_member(root, "mate", base, fitting_weights(2))
    write_persona(root, "clerk", "desk")
    write_catalogue(root, {"desk": ["clerk"], "crew": ["pilot", "mate"]}, fallback="clerk")
    return Catalogue.load(root)


def write_crowd(root: Path, base: str, count: int) -> Catalogue:
    """Write and load a catalogue of so many members that babble, each in its own way, and the bare ``clerk``."""
    names = [f"marker{number}" for number in range(count)]
    for number, name in enumerate(names):
        write_fitting_member(root, name, base, fitting_weights(number, spread=0.4))
    write_persona(root, "clerk", "desk")
    write_catalogue(root, {"desk": ["clerk"], "crew": names}, fallback="clerk")
    return Catalogue.load(root)


class FirstSeats:
    """A router without a model: seats the first members of the catalogue, each half as surely as the one before."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._names = [name for name in catalogue.members if name != catalogue.fallback]
        self._all = list(catalogue.members)

    def digest(self) -> str:
        return "f" * 64

    async def route(self, request: Request) -> Decision:
        halves = {name: 0.5 ** (place + 1) for place, name in enumerate(self._names)}
        scores = {name: halves.get(name, 0.0) / sum(halves.values()) for name in self._all}
        seats = shares(scores, self._names[: request.seats])
        return Decision(
            router="first",
            digest=self.digest(),
            scores=scores,
            seats=seats,
            propensities=certain(scores, seats),
            abstained=False,
        )
