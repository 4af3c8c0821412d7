"""The coarse path: nothing of a request hangs on the others beside it, and the order of its tokens counts."""

import pytest
import torch

from consilium.routing.network import Batch, CoarseNetwork

MEMBERS, GROUPS, INPUTS = 6, 3, 12


def network(gate: str = "linear") -> CoarseNetwork:
    torch.manual_seed(0)
    return CoarseNetwork(MEMBERS, GROUPS, inputs=INPUTS, width=16, gate=gate).eval()


def batch(*lengths: int) -> Batch:
    places = torch.arange(max(lengths))
    present = places < torch.tensor(lengths)[:, None]
    drawn = torch.randn(len(lengths), max(lengths), INPUTS, generator=torch.Generator().manual_seed(1))
    return Batch(embeddings=drawn * present[..., None], present=present)


@pytest.mark.parametrize("gate", ["linear", "attention", "mlp", "hybrid", "hash", "mlp-hadamard", "mixture"])
def test_every_gate_gives_finite_logits_for_groups_and_members(gate: str) -> None:
    groups, members = network(gate)(batch(5, 1, 9))
    assert (groups.shape, members.shape) == ((3, GROUPS), (3, MEMBERS))
    assert torch.isfinite(groups).all()
    assert torch.isfinite(members).all()


def test_what_fills_up_a_request_does_not_count() -> None:
    net, together = network(), batch(4, 9, 6)
    expected = net(together)[1][0]
    together.embeddings[0, 4:] = 77.0
    alone = Batch(embeddings=together.embeddings[:1, :4], present=together.present[:1, :4])
    for given in (together, alone):
        assert torch.allclose(net(given)[1][0], expected, atol=1e-5)


def test_order_counts() -> None:
    net, turned = network(), batch(6)
    expected = net(batch(6))[1]
    turned.embeddings[:] = turned.embeddings.flip(1)
    assert not torch.allclose(net(turned)[1], expected, atol=1e-4)


def test_the_task_is_what_a_whole_layer_makes_of_the_last_token(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, asked = network()._encoder, batch(4, 9, 6)
    whole: list[torch.Tensor] = []
    last = encoder._last

    def spied(sequence: torch.Tensor, absent: torch.Tensor) -> torch.Tensor:
        whole.append(encoder._layer(sequence, src_key_padding_mask=absent)[:, -1])
        return last(sequence, absent)

    monkeypatch.setattr(encoder, "_last", spied)
    assert torch.allclose(encoder(asked), whole[0], atol=1e-5)
