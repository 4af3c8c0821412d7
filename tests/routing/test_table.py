"""The narrow table: what lay close stays close, and nothing is left to chance."""

import torch

from consilium.routing.table import TokenTable


def clustered() -> tuple[torch.Tensor, torch.Tensor]:
    """Return embeddings of tokens about six points in 32 dimensions, and which point each belongs to."""
    torch.manual_seed(0)
    labels = torch.arange(600) % 6
    return torch.randn(6, 32)[labels] * 3 + torch.randn(600, 32) * 0.3 + 5.0, labels


def test_neighbours_stay_neighbours_in_fewer_numbers() -> None:
    embeddings, labels = clustered()
    table = TokenTable.reduced(embeddings, width=5)
    points, _ = table.embed([list(range(600))])
    centres = torch.stack([points[0][labels == label].mean(0) for label in range(6)])
    nearest = torch.cdist(points[0], centres).argmin(-1)
    assert table.width == 5
    assert (nearest == labels).float().mean() > 0.99


def test_messages_are_filled_up_with_zeros() -> None:
    table = TokenTable.reduced(clustered()[0], width=4)
    points, lengths = table.embed([[3, 5, 8], [7]])
    assert points.shape == (2, 3, 4)
    assert lengths.tolist() == [3, 1]
    assert float(points[1, 1:].abs().max()) == 0.0
    alone, _ = table.embed([[7]])
    assert torch.equal(points[1, :1], alone[0])


def test_a_table_survives_its_file_and_comes_out_the_same_each_time() -> None:
    embeddings, _ = clustered()
    table, again = (TokenTable.reduced(embeddings, width=4) for _ in range(2))
    kept = TokenTable.from_tensors(table.tensors())
    for other in (again, kept):
        assert torch.equal(other.embed([[1, 2, 3]])[0], table.embed([[1, 2, 3]])[0])
    assert table.tensors()["table.values"].dtype is torch.int8


def test_bytes_keep_the_embeddings_to_a_hundredth() -> None:
    embeddings, _ = clustered()
    table = TokenTable.reduced(embeddings, width=32)
    points, _ = table.embed([list(range(600))])
    spread = points[0].std(0)
    assert torch.allclose(spread, torch.ones(32), atol=0.05)
