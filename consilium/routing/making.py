"""Make a router: fit both stages on examples, and weigh them on others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from consilium.engines.embedded.deltas import Delta
from consilium.errors import BadSettings
from consilium.members.base import Base
from consilium.routing.addressed import ordinary, without_addresses
from consilium.routing.cascade import FastStage, joined
from consilium.routing.classifier import Example
from consilium.routing.deep import DeepPath, StateEncoder
from consilium.routing.drawing import Labelled, balancing, drawn, once
from consilium.routing.embedding import embedding_table
from consilium.routing.fine import FinePath
from consilium.routing.fitting import FitSettings, FitStep, calibrate, fit_coarse
from consilium.routing.hybrid import Hybrid
from consilium.routing.losses import cross_entropy, soft_targets
from consilium.routing.reading import Reader
from consilium.routing.regret import Heard, Regret
from consilium.routing.router_file import RouterCard
from consilium.routing.states import KeptStates
from consilium.routing.table import TokenTable
from consilium.routing.tuning import tensors_of, tune

if TYPE_CHECKING:
    from torch import Tensor

WORSE = 0.001
"""How much more often than both stages together the fast one may be wrong where it is trusted alone."""
ASKED = 0.24
"""Share of the requests, those that the fast stage is least sure of, on which the deep one is asked whatever that is
worth on them: requests of another kind look like these, and there the fast stage is surer than right."""
_AT_ONCE = 256


def make_router(
    examples: Sequence[Example],
    dev: Sequence[Example],
    group_of: Mapping[str, int],
    encoder: Base,
    *,
    open_work: Sequence[Example] = (),
    unlabelled: Sequence[str] = (),
    stays: Sequence[str] = (),
    heard: Mapping[str, Sequence[float]] | None = None,
    settings: FitSettings | None = None,
    kept: Path | None = None,
    seed: int = 0,
    on_step: Callable[[str, FitStep], None] | None = None,
) -> "tuple[RouterCard, dict[str, Tensor]]":
    """Return a router's card and tensors.

    The deep stage is fitted first, and its encoder tuned under it. What it thinks of open work and unlabelled messages
    the coarse path learns (distillation: Hinton et al., arXiv 1503.02531); the fine path has the examples alone.

    Args:
        examples: to learn from.
        dev: to weigh paths and stages on, none of them among the examples.
        group_of: the number of each member's group; only these members may be named by an example.
        encoder: the base to read with.
        open_work: further examples, all for the member whose work is nobody's; the deep stage alone is told so.
        unlabelled: messages that might be anybody's.
        stays: messages that leave it with whoever has just answered.
        heard: by message, how likely each member, in the order of ``group_of``, finds the reference, in nats a token.
        settings: how to fit.
        kept: a folder where states of the encoder are kept, so that they are read once.
        seed: of everything that is drawn.
        on_step: told what is being done and where that stands.

    Raises:
        BadSettings: no examples of two members, or too few to tell any by; or as `labelled`.
        MissingExtra: scikit-learn is not installed.
    """
    settings, members, group_of = settings or FitSettings(), tuple(group_of), _numbered(group_of)
    called, (known, weighing, nobodys) = _told((examples, dev, open_work), members, heard, settings)
    reading = partial(_reading, encoder, settings.depth, kept, called, on_step)
    deep, adapter, read = _fit_deep(_both(known, nobodys), weighing, stays, encoder, reading, settings, seed, on_step)
    guessed = _guessed(deep, [*nobodys.messages, *unlabelled], read, called)
    stage = fit_fast(known, weighing, group_of, encoder, settings, guessed=guessed, seed=seed, on_step=on_step)
    fallback = members.index(open_work[0].member) if open_work else None
    certain, shares, decided = _together(stage, deep, weighing, read, fallback)
    regret = _fit_regret(examples, open_work, heard or {}, members, fallback, decided)
    parts = {"examples": examples, "open_work": open_work, "unlabelled": unlabelled, "heard": heard or (), "dev": dev}
    card = RouterCard(
        members=members,
        group_of=tuple(group_of.values()),
        encoder=encoder.name,
        certain=certain,
        shares=shares,
        ordinary=tuple(name for name in members if name not in called),
        fallback=None if fallback is None else members[fallback],
        made={name: len(part) for name, part in parts.items()} | {"seed": seed, "settings": asdict(settings)},
        **settings.shape,
    )
    return card, {**stage.tensors(), **deep.tensors(), **tensors_of(adapter), **regret.tensors()}


def _numbered(group_of: Mapping[str, int]) -> Mapping[str, int]:
    """Return members with the numbers of their groups, none of which is left out: one with no member has no odds."""
    used = sorted(set(group_of.values()))
    return {name: used.index(number) for name, number in group_of.items()}


def _told(
    parts: Sequence[Sequence[Example]],
    members: Sequence[str],
    heard: Mapping[str, Sequence[float]] | None,
    settings: FitSettings,
) -> tuple[list[str], list[Labelled]]:
    """Return the members whose names call them, by the first part, and all parts, labelled, as a router reads them."""
    called = _called(parts[0], members)
    return called, [as_read(labelled(part, members, heard, settings.temperature), called) for part in parts]


def _called(examples: Sequence[Example], members: Sequence[str]) -> list[str]:
    """Return the members whose names call them, and are no words of their requests."""
    words = ordinary({name: [each.message for each in examples if each.member == name] for name in members})
    return [name for name in members if name not in words]


def _reading(
    encoder: Base,
    depth: int,
    kept: Path | None,
    called: Sequence[str],
    on_step: Callable[[str, FitStep], None] | None,
    adapter: Delta | None,
) -> "Callable[[Sequence[str]], Tensor]":
    """Return what reads messages as a router does, each once, and tells how far it is."""
    states = KeptStates(StateEncoder(encoder, depth, adapter), encoder.name, kept)
    told = partial(on_step, "reading") if on_step else None
    return lambda messages: states([without_addresses(message, called) for message in messages], told)


def _fit_deep(
    known: Labelled,
    dev: Labelled,
    stays: Sequence[str],
    encoder: Base,
    reading: "Callable[[Delta | None], Callable[[Sequence[str]], Tensor]]",
    settings: FitSettings,
    seed: int,
    on_step: Callable[[str, FitStep], None] | None,
) -> "tuple[DeepPath, Delta | None, Callable[[Sequence[str]], Tensor]]":
    """Return the deep stage, the adapter that was tuned under it, and what reads through that.

    It is fitted on as many examples of each member as there are, and held to requests that it has not seen.
    """
    read, adapter, learned = reading(None), None, drawn(known, settings.deep_examples, seed)
    unseen = drawn(dev, settings.deep_examples, seed)
    deep = DeepPath.fit(read(learned.messages), learned.targets, read(stays) if stays else None)
    if settings.tuning_examples:
        told = partial(on_step, "tuning the encoder") if on_step else None
        by = drawn(once(known), settings.tuning_examples, seed)
        bare = StateEncoder(encoder, settings.depth)
        adapter = tune(encoder, bare, deep, by, balancing(by), settings, seed=seed, on_step=told)
        read = reading(adapter)
        deep = deep.read_anew(read(unseen.messages), unseen.labels, read(stays) if stays else None)
    return deep.held_to(read(unseen.messages), unseen.labels), adapter, read


def _together(
    stage: FastStage,
    deep: DeepPath,
    dev: Labelled,
    read: "Callable[[Sequence[str]], Tensor]",
    fallback: int | None,
) -> "tuple[float, tuple[float, float], tuple[Tensor, Tensor]]":
    """Return how both stages decide together, and what comes of that.

    From which certainty on the fast one decides alone; the shares of both where it does not; and of requests that
    neither has learned from the scores, and who is right.
    """
    fast, logits = stage_shares(stage, dev.messages), deep.logits(read(dev.messages))
    shares = weighed(fast, logits, dev.targets, fallback)
    both = joined(fast, logits, shares, fallback)
    certain = certainty(fast, both, dev.labels)
    scores = torch.where(fast.amax(-1, keepdim=True) >= certain, fast, both.softmax(-1))
    return certain, shares, (scores, dev.labels)


def _fit_regret(
    examples: Sequence[Example],
    open_work: Sequence[Example],
    heard: Mapping[str, Sequence[float]],
    members: Sequence[str],
    fallback: int | None,
    decided: "tuple[Tensor, Tensor]",
) -> Regret:
    """Return what seats may lose, by those of the examples whose references were heard, each once."""
    rows = list({each.message: each for each in (*examples, *open_work) if each.message in heard}.values())
    if not rows:
        return Regret.alike(len(members))
    found = Heard(
        members=torch.tensor([members.index(each.member) for each in rows]),
        sources=[each.source for each in rows],
        nats=torch.tensor([heard[each.message] for each in rows]),
    )
    return Regret.fit(found, fallback).cautious(*decided)


def fit_fast(
    known: Labelled,
    dev: Labelled,
    group_of: Mapping[str, int],
    encoder: Base,
    settings: FitSettings,
    *,
    guessed: Labelled | None = None,
    seed: int = 0,
    on_step: Callable[[str, FitStep], None] | None = None,
) -> FastStage:
    """Return a fast stage: both paths fitted on ``known``, the coarse one on ``guessed`` too, and mixed on ``dev``.

    Raises as `make_router`.
    """
    from tokenizers import Tokenizer

    numbers = list(group_of.values())
    messages = [each.message for each in known.examples]
    fine = FinePath.fit(messages, known.targets.argmax(-1).tolist(), len(numbers), seed=seed)
    table = TokenTable.reduced(embedding_table(encoder.path), settings.inputs)
    reader = Reader(Tokenizer.from_file(str(encoder.path / "tokenizer.json")), table)
    parts = [known, *([guessed] if guessed else [])]
    readings = [reader.read(each.message) for part in parts for each in part.examples]
    told = (lambda step: on_step("coarse path", step)) if on_step else None
    targets = torch.cat([part.targets for part in parts])
    coarse = fit_coarse(reader, readings, targets, numbers, settings, seed=seed, on_step=told)
    unmixed = FastStage(reader=reader, fine=fine, coarse=coarse, hybrid=Hybrid(numbers))
    logits = [unmixed.logits(part) for part in _in_parts([each.message for each in dev.examples])]
    of_fine, of_groups, of_members = (torch.cat(parts) for parts in zip(*logits, strict=True))
    return replace(unmixed, hybrid=calibrate(numbers, of_fine, of_groups, of_members, dev.targets))


def labelled(
    examples: Sequence[Example],
    members: Sequence[str],
    heard: Mapping[str, Sequence[float]] | None = None,
    temperature: float = 1.0,
) -> Labelled:
    """Return examples with their targets: the member that each names, or what those who heard the reference say.

    They say so of members' own rows, which have no source. Who does least harm at work from elsewhere need not be whose
    it is.

    Raises:
        BadSettings: an example for another member, or likelihoods of more or fewer members.
    """
    if unknown := {each.member for each in examples} - set(members):
        raise BadSettings(f"an example names {min(unknown)!r}, which is in no group. Give the groups of all members.")
    targets = torch.eye(len(members))[[members.index(each.member) for each in examples]]
    heard = heard or {}
    if places := [place for place, each in enumerate(examples) if each.message in heard and not each.source]:
        nats = [heard[examples[place].message] for place in places]
        if strangers := [found for found in nats if len(found) != len(members)]:
            raise BadSettings(f"{len(strangers[0])} likelihoods for {len(members)} members: give one a member.")
        targets[places] = soft_targets(torch.tensor(nats), temperature)
    return Labelled(examples=examples, targets=targets)


def as_read(part: Labelled, called: Sequence[str]) -> Labelled:
    """Return the same with messages as a router reads them; ``called``: the members whose names call them."""
    read = [replace(each, message=without_addresses(each.message, called)) for each in part.examples]
    return replace(part, examples=read)


def _both(first: Labelled, second: Labelled) -> Labelled:
    return Labelled(examples=[*first.examples, *second.examples], targets=torch.cat([first.targets, second.targets]))


def stage_shares(stage: FastStage, messages: Sequence[str]) -> "Tensor":
    """Return how likely a fast stage finds each member to be the right one, [messages, members]."""
    return torch.cat([stage.decide(part).members.mixed for part in _in_parts(messages)])


def weighed(fast: "Tensor", deep: "Tensor", targets: "Tensor", fallback: int | None = None) -> tuple[float, float]:
    """Return the shares of both stages under which requests that neither has learned from are likeliest.

    Args:
        fast: probabilities, [requests, members].
        deep: logits, [requests, members].
        targets: how far each member is the right one, [requests, members].
        fallback: place of the member whose requests are nobody's, see `joined`.
    """
    shares = torch.zeros(2, requires_grad=True)
    optimiser = torch.optim.Adam([shares], 0.05)
    for _ in range(200):
        optimiser.zero_grad()
        cross_entropy(joined(fast, deep, shares.exp(), fallback), targets).backward()
        optimiser.step()
    fast_share, deep_share = shares.detach().exp().tolist()
    return fast_share, deep_share


def certainty(fast: "Tensor", both: "Tensor", labels: "Tensor") -> float:
    """Return the least certainty from which on the fast stage may decide alone.

    There the whole cascade is wrong for at most a share `WORSE` of the requests more than both stages together are, and
    no more than a share ``1 - ASKED`` is decided without the deep stage.

    Args:
        fast: probabilities, [requests, members].
        both: logits of both stages together, [requests, members].
        labels: the number of the right member of each, [requests].
    """
    sure, alone = fast.max(-1)
    order = sure.argsort(descending=True)
    lost = ((both.argmax(-1) == labels).int() - (alone == labels).int())[order].cumsum(0)
    allowed = (lost <= WORSE * len(labels)).nonzero()
    return max(float(sure[order][allowed[-1]]), float(sure.quantile(ASKED))) if len(allowed) else 2.0


def _guessed(
    deep: DeepPath, messages: Sequence[str], read: "Callable[[Sequence[str]], Tensor]", called: Sequence[str]
) -> Labelled | None:
    """Return messages as a router reads them, with what the deep stage thinks of them; None where there are none."""
    if not messages:
        return None
    examples = [Example(message=message, member="") for message in messages]
    return as_read(Labelled(examples=examples, targets=deep.logits(read(messages)).softmax(-1)), called)


def _in_parts(messages: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the messages, so many at a time that what is laid side by side stays small."""
    for start in range(0, len(messages), _AT_ONCE):
        yield messages[start : start + _AT_ONCE]
