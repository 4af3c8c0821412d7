"""A small hierarchical router on a tiny base, and a crew whose requests a single word tells apart."""

from pathlib import Path

from consilium.members.base import Base
from consilium.members.catalogue import Catalogue
from consilium.routing.classifier import Example
from consilium.routing.fitting import FitSettings
from consilium.routing.making import make_router
from consilium.routing.router_file import RouterTensors, read_router, write_router
from tests.support.personas import write_catalogue, write_persona

TOLD = {"pilot": "w20", "mate": "w21", "clerk": "w22", "cook": "w23"}
GROUP_OF = {"clerk": 0, "pilot": 1, "mate": 1}


def asked(member: str, number: int) -> str:
    """Return a request for a member."""
    return f"w{30 + number % 50} {TOLD[member]} w{90 + number % 37}"


EXAMPLES = [Example(message=asked(member, number), member=member) for member in GROUP_OF for number in range(40)]
DEV = [Example(message=asked(member, number), member=member) for member in GROUP_OF for number in range(40, 60)]
SETTINGS = FitSettings(inputs=16, depth=2, tuning_examples=0, width=16, epochs=15, batch=16, learning_rate=1e-2)


def small_router(base: Base, path: Path) -> RouterTensors:
    """Fit a router for the crew, write it to ``path``, and read it."""
    card, tensors = make_router(EXAMPLES, DEV, GROUP_OF, base, settings=SETTINGS)
    digest = write_router(path, card, tensors)
    file = read_router(path)
    assert file.digest == digest
    return file


def write_crew_of(root: Path, *newcomers: str) -> Catalogue:
    """Write and load a catalogue of the crew that the router was fitted for, and of others that it was not."""
    for name in (*GROUP_OF, *newcomers):
        group = "desk" if name == "clerk" else "crew"
        write_persona(root, name, group, examples=[asked(name, number) for number in range(12)])
    write_catalogue(root, {"desk": ["clerk"], "crew": ["pilot", "mate", *newcomers]}, fallback="clerk")
    return Catalogue.load(root)
