"""The graph of one turn: route, speak once a seat, deliberate, conclude, record."""

from typing import TYPE_CHECKING

from langgraph.graph import END, START, StateGraph

from consilium.council.context import TurnContext
from consilium.council.nodes.conclude import conclude
from consilium.council.nodes.deliberate import deliberate
from consilium.council.nodes.record import record
from consilium.council.nodes.route import route, seated
from consilium.council.nodes.speak import speak
from consilium.council.state import TurnState

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph


def build_graph(
    saver: "BaseCheckpointSaver[str] | None",
) -> "CompiledStateGraph[TurnState, TurnContext, TurnState, TurnState]":
    """Compile the graph, with a checkpoint saver where checkpoints are kept."""
    graph = StateGraph(TurnState, context_schema=TurnContext)
    graph.add_node("route", route)
    graph.add_node("speak", speak)
    graph.add_node("deliberate", deliberate)
    graph.add_node("conclude", conclude)
    graph.add_node("record", record)
    graph.add_edge(START, "route")
    graph.add_conditional_edges("route", seated, ["speak"])
    graph.add_edge("speak", "deliberate")
    graph.add_edge("deliberate", "conclude")
    graph.add_edge("conclude", "record")
    graph.add_edge("record", END)
    return graph.compile(checkpointer=saver)
