"""The deep stage: whitened states tell members apart, and a newcomer takes only what is its own."""

from dataclasses import replace

import pytest
import torch

from consilium.errors import BadSettings
from consilium.members.base import Base
from consilium.routing.deep import CHARACTERS, REFERENCES, DeepPath, StateEncoder, _cut
from tests.support.tiny import write_tiny_base

HIDDEN, KINDS, MEMBERS = 24, 2, 5


def states(count: int, *, members: int = MEMBERS, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return requests of members whose states lie about centres, drowned by what all of them vary in."""
    drawn = torch.Generator().manual_seed(seed)
    centres = torch.randn(MEMBERS, KINDS, HIDDEN, generator=torch.Generator().manual_seed(9))
    noise = torch.randn(count, KINDS, HIDDEN, generator=drawn)
    noise[..., :4] *= 20  # in these directions requests differ, but not by member
    labels = torch.arange(count) % members
    return 2 * centres[labels] + noise + 7.0, labels


@pytest.fixture(scope="module")
def path() -> DeepPath:
    points, labels = states(400, members=4)
    return DeepPath.fit(points, torch.eye(4)[labels], directions=12).held_to(*states(800, members=4, seed=11))


def test_unseen_requests_find_their_member_through_the_noise(path: DeepPath) -> None:
    points, labels = states(200, members=4, seed=1)
    assert (path.logits(points).argmax(-1) == labels).float().mean() > 0.95


def test_a_newcomer_is_found_from_few_requests_and_takes_little_from_the_others(path: DeepPath) -> None:
    points, labels = states(500, seed=2)
    known = path.with_member(points[labels == 4][:20])
    points, labels = states(1_000, seed=3)
    before, after = path.logits(points).argmax(-1), known.logits(points).argmax(-1)
    others = labels != 4
    assert (after[~others] == 4).float().mean() > 0.9
    assert (before[others] == labels[others]).float().mean() - (after[others] == labels[others]).float().mean() < 0.02


def test_a_newcomer_is_found_by_what_its_requests_share(path: DeepPath) -> None:
    """However unlike they are otherwise, so that the others' centres are closer to most of them than their own."""
    points, labels = states(800, seed=5)
    aside = 2 * torch.randn(KINDS, HIDDEN, generator=torch.Generator().manual_seed(3))
    others = points[labels < 3]
    own = others + aside
    known = path.with_member(own[:21])
    assert (known.logits(own[21:]).argmax(-1) == 4).float().mean() > 0.8
    assert (known.logits(others).argmax(-1) == 4).float().mean() < 0.02
    assert (torch.cdist(known.points(own), known.centres).argmin(-1) == 4).float().mean() < 0.1


def test_a_newcomer_much_like_another_takes_next_to_nothing_from_it(path: DeepPath) -> None:
    points, labels = states(1_000, seed=4)
    aside = 0.5 * torch.randn(KINDS, HIDDEN, generator=torch.Generator().manual_seed(3))
    known = path.with_member(points[labels == 0][:20] + aside)
    assert (known.logits(points[labels < 4]).argmax(-1) == 4).float().mean() < 0.02


def test_newcomers_leave_the_others_as_they_were_and_each_other_theirs(path: DeepPath) -> None:
    points, labels = states(1_000, seed=4)
    own, apart = points[labels == 4], torch.randn(KINDS, HIDDEN, generator=torch.Generator().manual_seed(6))
    known = path.with_member(own[:20]).with_member(own[:20] + apart)
    assert torch.equal(known.logits(points)[:, :4], path.logits(points))
    assert (known.logits(own[20:]).argmax(-1) == 4).float().mean() > 0.6
    assert (known.logits(own[20:] + apart).argmax(-1) == 5).float().mean() > 0.9


def test_newcomers_are_held_to_some_requests_of_each_that_are_decided_rightly(path: DeepPath) -> None:
    points, labels = states(4_000, members=4, seed=12)
    unlearned = replace(path, weights=path.weights[[0, 1, 3, 2]], bias=path.bias[[0, 1, 3, 2]])
    assert path.held_to(points, labels).references.shape == (4 * REFERENCES, KINDS * 12)
    by_chance = len(unlearned.held_to(points, labels).references) - 2 * REFERENCES
    assert 0 <= by_chance < 0.1 * 2 * REFERENCES
    with pytest.raises(BadSettings, match="none of 4000 requests"):
        path.held_to(points, (path.logits(points).argmax(-1) + 1) % 4)


def test_one_kind_of_state_that_misleads_does_not_undo_the_other() -> None:
    points, labels = states(400, members=4)
    points[:, 1] += 50 * torch.eye(HIDDEN)[labels + 10]
    misled = DeepPath.fit(points, torch.eye(4)[labels], directions=12)
    points, labels = states(200, members=4, seed=1)
    points[:, 1] += 15 * torch.eye(HIDDEN)[(labels + 1) % 4 + 10]  # less of it, and another member's
    assert (misled.logits(points).argmax(-1) == labels).float().mean() > 0.9


def test_targets_may_be_soft(path: DeepPath) -> None:
    points, labels = states(400, members=4)
    unsure = DeepPath.fit(points, 0.55 * torch.eye(4)[labels] + 0.45 / 4, directions=12)
    assert unsure.logits(points).softmax(-1).amax(-1).mean() < 0.8 < path.logits(points).softmax(-1).amax(-1).mean()


def test_a_path_survives_its_file_and_comes_out_the_same_each_time(path: DeepPath) -> None:
    points, labels = states(400, members=4)
    again = DeepPath.fit(points, torch.eye(4)[labels], directions=12)
    kept = DeepPath.from_tensors(path.with_member(points[:9]).tensors())
    assert torch.allclose(again.logits(points), path.logits(points), atol=1e-5)
    assert torch.equal(kept.logits(points), path.with_member(points[:9]).logits(points))
    assert torch.equal(kept.with_member(points[:9]).bias, path.with_member(points[:9]).with_member(points[:9]).bias)


def test_messages_that_stay_are_told_from_those_for_a_member(path: DeepPath) -> None:
    points, labels = states(400, members=4)
    centre = torch.randn(KINDS, HIDDEN, generator=torch.Generator().manual_seed(8))
    apart = 3 * centre + states(80, seed=7)[0] - states(80, seed=6)[0]
    told = DeepPath.fit(points, torch.eye(4)[labels], apart[:40], directions=12)
    assert (told.staying(apart[40:]) > 0.5).float().mean() > 0.9
    assert (told.staying(states(200, members=4, seed=1)[0]) > 0.5).float().mean() < 0.1
    assert path.staying(apart).max() < 1e-6


def test_one_member_is_nothing_to_tell_apart() -> None:
    with pytest.raises(BadSettings, match="all requests are for one member"):
        DeepPath.fit(torch.randn(9, KINDS, HIDDEN), torch.eye(2)[torch.zeros(9, dtype=torch.int64)])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return write_tiny_base(tmp_path_factory.mktemp("base"), num_hidden_layers=3)


def test_requests_are_read_as_if_each_stood_alone(base: Base) -> None:
    encoder = StateEncoder(base, depth=2)
    messages = ["w7 w8", "w9", "w7 w8 w9 w10"]
    together = encoder.encode(messages)
    assert together.shape == (3, 2, 48)
    for place, message in enumerate(messages):
        assert torch.allclose(encoder.encode([message])[0], together[place], atol=1e-5)


@pytest.mark.parametrize("message", ["", " ", "w9 " * 9_000])
def test_any_message_has_a_finite_state(base: Base, message: str) -> None:
    assert torch.isfinite(StateEncoder(base, depth=1).encode([message])).all()


def test_long_messages_are_read_from_both_ends() -> None:
    text = _cut("a" * 5_000 + "z" * 5_000)
    assert (text[0], text[-1]) == ("a", "z")
    assert len(text) == CHARACTERS + 3
