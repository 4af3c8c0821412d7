"""The network: two paths at two levels, and nothing of a message that hangs on the others beside it."""

import pytest
import torch
from torch.nn.functional import nll_loss

from consilium.routing.network import Found, HierarchicalNetwork

GROUP_OF = (0, 1, 1, 2, 2, 2)
INPUTS = 12


def network(gate: str = "linear", group_of: tuple[int, ...] = GROUP_OF) -> HierarchicalNetwork:
    torch.manual_seed(0)
    return HierarchicalNetwork(group_of, inputs=INPUTS, width=16, gate=gate).eval()


def messages(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(1)
    return torch.randn(len(lengths), max(lengths), INPUTS, generator=drawn), torch.tensor(lengths)


@pytest.mark.parametrize("gate", ["linear", "attention", "mlp", "hybrid", "hash", "mlp-hadamard", "mixture"])
def test_every_share_sums_to_one(gate: str) -> None:
    found = network(gate)(*messages(5, 1, 9))
    assert found.members.shape == (3, 6)
    for shares in (found.members, found.pull, found.groups.fine, found.groups.coarse, found.groups.mixed):
        assert torch.allclose(shares.sum(-1), torch.ones(3), atol=1e-5)
    for path in (found.within.fine, found.within.coarse, found.within.mixed):
        by_group = torch.zeros(3, 3).index_add(1, torch.tensor(GROUP_OF), path)
        assert torch.allclose(by_group, torch.ones(3, 3), atol=1e-5)


def test_the_only_member_of_a_group_is_as_likely_as_its_group() -> None:
    found = network()(*messages(5, 3))
    assert torch.allclose(found.members[:, 0], found.groups.mixed[:, 0])


def test_what_fills_up_a_message_does_not_count() -> None:
    net = network()
    embeddings, lengths = messages(4, 9, 6)
    together = net(embeddings, lengths)
    embeddings[0, 4:] = 77.0
    spoilt = net(embeddings, lengths)
    alone = net(embeddings[:1, :4], lengths[:1])
    for found in (spoilt, alone):
        assert torch.allclose(found.members[0], together.members[0], atol=1e-5)
    assert float(together.pull[0, 4:].detach().abs().max()) == 0.0


@pytest.mark.parametrize(("trust", "path"), [(-50.0, "fine"), (50.0, "coarse")])
def test_trust_at_its_ends_follows_one_path_alone(trust: float, path: str) -> None:
    net = network()
    for level in (net._groups, net._members):
        level.trust.data.fill_(trust)
    found = net(*messages(5, 3))
    groups, within = getattr(found.groups, path), getattr(found.within, path)
    assert torch.allclose(found.members, groups[:, list(GROUP_OF)] * within, atol=1e-6)


def test_trust_starts_on_the_published_schedule() -> None:
    assert network().trust() == pytest.approx((0.119, 0.881), abs=1e-3)


def test_odds_between_logits_far_apart_stay_finite_in_every_group() -> None:
    net = network()
    net._members.keys.data *= 1e3
    for gate in (net._members._fine, net._members._coarse):
        gate._sharpness.data.fill_(7.0)
    found = net(*messages(5, 3))
    assert torch.isfinite(found.members).all()
    assert torch.allclose(found.members.sum(-1), torch.ones(2), atol=1e-4)


def accuracy(found: Found, labels: torch.Tensor) -> float:
    return float((found.members.argmax(-1) == labels).float().mean())


def test_it_learns_what_a_word_tells_and_what_only_their_order_does() -> None:
    """Members 0, 1 and 3 are told by a word; of 4 and 5 both have the same two words, the other way round."""
    torch.manual_seed(0)
    words = torch.randn(40, INPUTS)
    tell = {0: (30,), 1: (31,), 3: (33,), 4: (34, 35), 5: (35, 34)}

    def batch(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        labels = torch.tensor(list(tell))[torch.randint(len(tell), (count,))]
        tokens = torch.randint(30, (count, 8))
        for row, label in enumerate(labels.tolist()):
            places = sorted(torch.randperm(8)[: len(tell[label])].tolist())
            tokens[row, places] = torch.tensor(tell[label])
        return words[tokens], torch.full((count,), 8), labels

    net = network().train()
    optimiser = torch.optim.Adam(net.parameters(), lr=4e-3)
    for _ in range(300):
        embeddings, lengths, labels = batch(64)
        optimiser.zero_grad()
        nll_loss(net(embeddings, lengths).members.clamp(min=1e-9).log(), labels).backward()
        optimiser.step()
    embeddings, lengths, labels = batch(400)
    assert accuracy(net.eval()(embeddings, lengths), labels) > 0.9
