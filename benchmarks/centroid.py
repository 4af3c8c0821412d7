"""How often the nearest-centroid router finds the right member, on requests that nobody learned from.

usage: python benchmarks/centroid.py [--data ../shared/data] [--sample 300]

Requests are the held-out rows of each member's own data, without any added instruction; those of the bare base are
open-ended instructions (self_instruct). The personas' example requests are all that the router has seen.
``top1``: the first seat is the right one. ``seated``: it is among the seats, of which there are ``seats`` on average.
``plain_top1``: nearest centroid over plain mean embeddings, neither centred nor scaled. Prints shares; last line JSON.
"""

import argparse
import asyncio
import json
import statistics
from pathlib import Path

import torch

from consilium.members.base import BUILT_IN, Base, open_base
from consilium.members.catalogue import Catalogue
from consilium.routing.centroid import CentroidRouter
from consilium.routing.embedding import TokenEmbedding
from consilium.routing.protocol import Request
from consilium.settings import Settings
from consilium.training.data import data_of, split_of
from consilium.training.rows import read_jsonl


def requests(data: Path, catalogue: Catalogue, sample: int) -> dict[str, list[str]]:
    """Return held-out requests by the member that they are meant for."""
    folders = [data / "house", data / "personas"]
    members = [member for member in catalogue.members.values() if data_of(member, folders) is not None]
    found = {member.name: [row.request for row in split_of(member, folders).test[:sample]] for member in members}
    seeds = read_jsonl(data / "router/self_instruct/seed_tasks.jsonl")
    found[catalogue.fallback] = [entry["instruction"] for _, entry in seeds][:sample]
    return found


class PlainEmbedding(TokenEmbedding):
    """Token embeddings as the base has them."""

    def __init__(self, base: Base) -> None:
        super().__init__(base)
        from consilium.routing.embedding import embedding_table

        self._table = embedding_table(base.path)


def plain_top1(base: Base, catalogue: Catalogue, texts: dict[str, list[str]]) -> dict[str, float]:
    """Return the share of texts whose nearest centroid, over plain means, is the right one."""
    embedding = PlainEmbedding(base)
    names = list(catalogue.members)
    centroids = torch.stack([embedding.embed(m.persona.examples).mean(0) for m in catalogue.members.values()])
    shares = {}
    for name, requests_ in texts.items():
        cosines = torch.cosine_similarity(embedding.embed(requests_)[:, None], centroids[None], dim=-1)
        shares[name] = float((cosines.argmax(-1) == names.index(name)).float().mean())
    return shares


async def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sample", type=int, default=300)
    arguments = parser.parse_args()
    settings = Settings.load()
    base = open_base(BUILT_IN, cache=settings.cache_dir)
    catalogue = Catalogue.load(settings.personas)
    texts = requests(arguments.data, catalogue, arguments.sample)
    plain = plain_top1(base, catalogue, texts)
    router = CentroidRouter(base, catalogue)
    figures = {}
    print("| meant for | rows | top-1 | seated | abstained | seats | plain top-1 |\n|---|--:|--:|--:|--:|--:|--:|")
    for name, requests_ in texts.items():
        decisions = [await router.route(Request(message=text, seats=3)) for text in requests_]
        row = {
            "rows": len(decisions),
            "top1": statistics.mean(decision.seats[0].member == name for decision in decisions),
            "seated": statistics.mean(name in {seat.member for seat in decision.seats} for decision in decisions),
            "abstained": statistics.mean(decision.abstained for decision in decisions),
            "seats": statistics.mean(len(decision.seats) for decision in decisions),
            "plain_top1": plain[name],
        }
        figures[name] = {key: round(value, 3) for key, value in row.items()}
        print(f"| {name} | " + " | ".join(f"{value:.3g}" for value in row.values()) + " |")
    means = {key: round(statistics.mean(row[key] for row in figures.values()), 3) for key in ("top1", "plain_top1")}
    print(json.dumps({"members": figures, "mean": means}))


if __name__ == "__main__":
    asyncio.run(main())
