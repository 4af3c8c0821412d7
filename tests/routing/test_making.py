"""Making a router: what examples do not say, likelihoods and the deep stage do."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from consilium.errors import BadSettings
from consilium.members.base import Base
from consilium.routing.cascade import Cascade
from consilium.routing.classifier import Example
from consilium.routing.making import make_router
from consilium.routing.router_file import RouterTensors
from tests.support.routers import DEV, EXAMPLES, GROUP_OF, SETTINGS, asked
from tests.support.tiny import write_tiny_base


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return write_tiny_base(tmp_path_factory.mktemp("base"), num_hidden_layers=3)


def cascade(
    base: Base,
    *,
    open_work: Sequence[Example] = (),
    unlabelled: Sequence[str] = (),
    heard: dict[str, list[float]] | None = None,
) -> Cascade:
    card, tensors = make_router(
        EXAMPLES, DEV, GROUP_OF, base, open_work=open_work, unlabelled=unlabelled, heard=heard, settings=SETTINGS
    )
    return Cascade(RouterTensors(card=card, tensors=tensors, digest=""), base)


def first(cascade: Cascade, message: str) -> str:
    scores = cascade.scores(message).scores
    return max(scores, key=lambda name: scores[name])


def test_who_finds_the_reference_likeliest_is_right_whoever_the_example_names(base: Base) -> None:
    likely = {"clerk": [-0.1, -2.0, -2.0], "pilot": [-2.0, -2.0, -0.1], "mate": [-2.0, -0.1, -2.0]}
    heard = {each.message: likely[each.member] for each in (*EXAMPLES, *DEV)}
    swapped = cascade(base, heard=heard)
    found = {name: [first(swapped, asked(name, number)) for number in range(60, 75)] for name in GROUP_OF}
    assert found["clerk"].count("clerk") >= 13
    assert found["pilot"].count("mate") >= 13
    assert found["mate"].count("pilot") >= 13


def test_likelihoods_of_other_members_are_refused(base: Base) -> None:
    with pytest.raises(BadSettings, match="2 likelihoods for 3 members"):
        make_router(EXAMPLES, DEV, GROUP_OF, base, heard={EXAMPLES[0].message: [-1.0, -2.0]}, settings=SETTINGS)


@pytest.mark.parametrize("word", ["w145", "w150", "w160"])
def test_the_coarse_path_learns_from_the_deep_stage_what_no_example_says(base: Base, word: str) -> None:
    """The word stands in no example, and only beside the mate's where nobody has labelled it."""
    unlabelled = [f"{word} {asked('mate', number)}" for number in range(40)]
    mate = list(GROUP_OF).index("mate")
    learned, plain = (
        float(cascade(base, unlabelled=texts).fast.decide([word]).members.coarse[0, mate]) for texts in (unlabelled, ())
    )
    assert learned > plain + 0.3


def test_what_unlabelled_messages_say_to_the_router_is_not_learned(base: Base) -> None:
    plain = [asked("mate", number) for number in range(40)]
    told, untold = (
        cascade(base, unlabelled=texts).fast.decide(plain).members.coarse
        for texts in ([f"w5 pilot.\n{text}" for text in plain], plain)
    )
    assert torch.equal(told, untold)


def test_the_deep_stage_alone_is_told_whose_open_work_is(base: Base) -> None:
    """Its words are the mate's, in an order that nobody else's have."""
    texts = [" ".join(reversed(asked("mate", number).split())) for number in range(80)]
    told = cascade(base, open_work=[Example(message=text, member="clerk", source="open") for text in texts])
    assert (told.card.fallback, cascade(base).card.fallback) == ("clerk", None)
    clerk, mate = (list(GROUP_OF).index(name) for name in ("clerk", "mate"))
    deep = torch.cat([told.look(text).logits for text in texts])
    fine = told.fast.decide(texts).members.fine
    assert float((deep.argmax(-1) == clerk).float().mean()) > 0.8
    assert float((fine.argmax(-1) == mate).float().mean()) > 0.8


def test_whose_open_work_is_and_who_does_least_harm_at_it_are_two_things(base: Base) -> None:
    texts = [f"w145 w{100 + number % 40} w146" for number in range(80)]
    likely = {"clerk": [-0.1, -2.0, -2.0], "pilot": [-2.0, -0.1, -2.0], "mate": [-4.0, -4.0, -0.1]}
    heard = {each.message: likely[each.member] for each in EXAMPLES if each.member != "clerk"}
    heard |= {text: [-1.0, -0.1, -8.0] for text in texts}
    told = cascade(
        base, open_work=[Example(message=text, member="clerk", source="open") for text in texts], heard=heard
    )
    found = [told.scores(text) for text in texts]
    assert sum(max(each.scores, key=each.scores.__getitem__) == "clerk" for each in found) > 0.8 * len(found)
    assert sum(min(each.regrets, key=each.regrets.__getitem__) == "pilot" for each in found) > 0.8 * len(found)


def test_a_group_without_members_has_no_odds(base: Base) -> None:
    card, tensors = make_router(EXAMPLES, DEV, {"clerk": 0, "pilot": 2, "mate": 2}, base, settings=SETTINGS)
    assert card.group_of == (0, 1, 1)
    router = Cascade(RouterTensors(card=card, tensors=tensors, digest=""), base)
    assert [first(router, asked(name, 70)) for name in GROUP_OF] == list(GROUP_OF)


def test_a_member_may_bear_a_word_of_its_requests_as_its_name(base: Base) -> None:
    """The sentences that hold it are read, in fitting as in use; others' names still call nobody."""
    named = {"w20": 0, "mate": 1, "clerk": 1}
    renamed = {"pilot": "w20", "mate": "mate", "clerk": "clerk"}
    fit, dev = ([replace(each, member=renamed[each.member]) for each in part] for part in (EXAMPLES, DEV))
    card, tensors = make_router(fit, dev, named, base, settings=SETTINGS)
    assert card.ordinary == ("w20",)
    router = Cascade(RouterTensors(card=card, tensors=tensors, digest=""), base)
    message = f"w99 w98.\n{asked('pilot', 70)}"
    assert router.read(message) == message
    assert router.read(f"{message}\nAsk the mate.") == message
    assert first(router, message) == "w20"
