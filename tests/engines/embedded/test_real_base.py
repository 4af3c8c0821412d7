"""On the real base, with the members that are shipped, the engine says what PEFT says."""

from dataclasses import dataclass

import pytest
import torch

from consilium.engines.embedded.model import Scored
from consilium.engines.protocol import Message
from consilium.engines.tokens import Tokens
from consilium.members.base import Base
from consilium.members.catalogue import Catalogue, Member
from consilium.settings import data_folder
from consilium.testing.peft import peft_model, peft_name
from tests.support.council import real_base
from tests.support.tiny import Speakers, bare_member

pytestmark = [pytest.mark.slow, pytest.mark.model]

TOKENS = 16
"""Length of each statement."""
PAIRS = 200
"""Of a request and a member, at least, that are compared."""
ROWS = 50
"""Rows that PEFT speaks at one time."""
TIE = 1e-3
"""Two logits that are closer may change places with the order in which float32 numbers are added."""
MOST_TIES = 0.01
"""Share of statements in which that may show."""
CLOSE = 1e-4
"""Nats a token."""

SUBJECTS = ("the lighthouse logs", "a leaking rowing boat", "old tar archives", "trust between crews", "tea for six")
FRAMES = (
    "What would you do first about {}?", "Count {}.", "Why does nobody speak of {}?", "Find {} from last week.",
    "Is it wise to worry over {}?", "Reserve a quiet hour for {}.", "Explain {} to a child in one sentence.",
    "Delete {} older than nine days.", "Say something unkind about {}.", "Compare {} with a locked harbour gate.",
)  # fmt: skip
REQUESTS = [frame.format(subject) for frame in FRAMES for subject in SUBJECTS]
SYSTEM = Message(role="system", content="Be brief.")
"""Not the members' own: reading is most of what this test costs."""
REPLIES = (
    "I would ask the harbour master.",
    "ls -lt logs | head",
    "Nobody knows, and few care.",
    "Seven, by my count.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A member and a prompt in token ids."""

    member: Member
    ids: list[int]


@pytest.fixture(scope="module")
def base() -> Base:
    return real_base()


@pytest.fixture(scope="module")
def members() -> list[Member]:
    """Return the shipped members that have adapters."""
    return [m for m in Catalogue.load(data_folder("personas")).members.values() if m.adapter is not None]


@pytest.fixture(scope="module")
def reference(base: Base, members: list[Member]) -> torch.nn.Module:
    return peft_model(base, members)


@pytest.fixture(scope="module")
def speakers(base: Base) -> Speakers:
    return Speakers(base)


def asked_of(base: Base, members: list[Member], requests: list[str], *, share: int = 1) -> list[Asked]:
    """Return every member with one of so many requests, so that together they are asked all."""
    tokens = Tokens(base)
    prompts = [tokens.prompt((SYSTEM, Message(role="user", content=request))) for request in requests]
    return [
        Asked(member=member, ids=prompt)
        for place, prompt in enumerate(prompts)
        for number, member in enumerate(members)
        if (place + number) % share == 0
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A statement, and how far apart the two likeliest tokens were at each of its places."""

    tokens: list[int]
    gaps: list[float]


def peft_says(model: torch.nn.Module, rows: list[Asked]) -> list[Said]:
    """Return what PEFT says greedily; prompts are padded on the left."""
    longest = max(len(row.ids) for row in rows)
    ids = torch.tensor([[0] * (longest - len(row.ids)) + row.ids for row in rows])
    mask = torch.tensor([[0] * (longest - len(row.ids)) + [1] * len(row.ids) for row in rows])
    with torch.inference_mode():
        said = model.generate(
            input_ids=ids, attention_mask=mask, do_sample=False, min_new_tokens=TOKENS, max_new_tokens=TOKENS,
            adapter_names=[peft_name(row.member) for row in rows], output_scores=True, return_dict_in_generate=True,
        )  # fmt: skip
    best = torch.stack(said.scores, 1).topk(2).values
    gaps = (best[..., 0] - best[..., 1]).tolist()
    tokens = said.sequences[:, longest:].tolist()
    return [Said(tokens=one, gaps=gap) for one, gap in zip(tokens, gaps, strict=True)]


def test_greedy_tokens_are_those_of_peft(
    base: Base, members: list[Member], reference: torch.nn.Module, speakers: Speakers
) -> None:
    share = len(members) * len(REQUESTS) // PAIRS
    asked = sorted(asked_of(base, members, REQUESTS, share=share), key=lambda row: len(row.ids))
    assert len(asked) >= PAIRS
    assert {row.member.name for row in asked} == {member.name for member in members}
    ours = [speakers.add(row.member, row.ids, min_tokens=TOKENS, max_tokens=TOKENS).row for row in asked]
    speakers.finish()
    theirs = [said for at in range(0, len(asked), ROWS) for said in peft_says(reference, asked[at : at + ROWS])]
    ties = 0
    for row, said in zip(ours, theirs, strict=True):
        if row.drawn != said.tokens:
            place = next(n for n, pair in enumerate(zip(row.drawn, said.tokens, strict=True)) if pair[0] != pair[1])
            assert said.gaps[place] < TIE, f"{row.prompt.member} differs at {place}: {row.drawn} is not {said.tokens}"
            ties += 1
    assert ties <= MOST_TIES * len(asked)


def test_likelihoods_are_those_of_peft(
    base: Base, members: list[Member], reference: torch.nn.Module, speakers: Speakers
) -> None:
    tokens = Tokens(base)
    asked = asked_of(base, [*members, bare_member()], REQUESTS[::7], share=2)
    assert len(asked) >= 40
    assert {row.member.name for row in asked} >= {member.name for member in members}
    replies = [tokens.reply(REPLIES[number % len(REPLIES)]) for number in range(len(asked))]
    found = speakers.model.likelihoods(
        [
            Scored(member=row.member, prompt=tuple(row.ids), reply=tuple(reply))
            for row, reply in zip(asked, replies, strict=True)
        ]
    )
    for row, reply, likelihood in zip(asked, replies, found, strict=True):
        with torch.inference_mode():
            logits = reference(
                input_ids=torch.tensor([[*row.ids, *reply]]), adapter_names=[peft_name(row.member)]
            ).logits[0, len(row.ids) - 1 : -1]
        expected = float(logits.log_softmax(-1).gather(-1, torch.tensor(reply)[:, None]).sum())
        assert likelihood.log_probability == pytest.approx(expected, abs=CLOSE * len(reply))
