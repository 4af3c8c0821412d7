"""The state of a turn, and what may come out of a checkpoint."""

import warnings
from pathlib import Path

import ormsgpack
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from consilium.council.checkpoints import open_saver
from consilium.council.graph import build_graph
from consilium.council.state import by_seat


@given(st.lists(st.integers(0, 5)), st.lists(st.integers(0, 5)))
def test_statements_end_up_by_seat_whatever_their_order(old: list[int], new: list[int]) -> None:
    merged = by_seat([{"seat": seat, "from": "old"} for seat in old], [{"seat": seat, "from": "new"} for seat in new])
    assert [statement["seat"] for statement in merged] == sorted({*old, *new})
    assert {s["seat"] for s in merged if s["from"] == "new"} == set(new)


async def test_the_graph_is_the_turn() -> None:
    async with open_saver(None) as saver:
        nodes = set(build_graph(saver).get_graph().nodes)
    assert nodes == {"__start__", "route", "speak", "deliberate", "conclude", "record", "__end__"}


def load(serializer: SerializerProtocol, canary: Path) -> None:
    """Read a checkpoint value that asks its reader to run a command which makes ``canary``."""
    call = ormsgpack.packb(("os", "system", f"touch {canary}"))
    constructor_with_one_argument = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        serializer.loads_typed(("msgpack", ormsgpack.packb(ormsgpack.Ext(constructor_with_one_argument, call))))


async def test_a_crafted_checkpoint_makes_nothing_happen(tmp_path: Path) -> None:
    async with open_saver(tmp_path / "checkpoints.db") as saver:
        assert saver is not None
        load(saver.serde, tmp_path / "canary")
    assert not (tmp_path / "canary").exists()


def test_the_canary_sings_where_the_serializer_is_permissive(tmp_path: Path) -> None:
    load(JsonPlusSerializer(), tmp_path / "canary")
    assert (tmp_path / "canary").exists()
