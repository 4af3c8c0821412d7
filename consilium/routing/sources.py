"""Requests of the members' kinds of work from where their own rows do not come from, to route under shift.

Out of the sets of `consilium.training.public_sets`.
"""

from collections.abc import Iterator
from pathlib import Path

from consilium.routing.classifier import Example
from consilium.training import public_sets
from consilium.training.held_out import OPEN_P3, held_out, riddle_of
from consilium.training.public_sets import (
    Dialogue,
    Exam,
    Instruction,
    Intent,
    Misconception,
    Prompt,
    Question,
    Riddle,
    entries,
)
from consilium.training.rows import Row

P3 = {
    "paws_labeled_final_Concatenation": "logician",
    "qasc_is_correct_1": "logician",
    "social_i_qa_Check_if_a_random_answer_is_valid_or_not": "logician",
    "wiqa_does_the_supposed_perturbation_have_an_effect": "logician",
    "dbpedia_14_given_a_choice_of_categories_": "librarian",
    "common_gen_Example_prompt": "copywriter",
}
"""Templates that ask for a member's kind of work: what follows from what, which class, a sentence out of parts."""
NOBODYS = ("small_talk", "meta", "oos")
"""CLINC150's domains that no specialist was trained for."""
OF_A_SET = 20
"""Rows of each of P3's open sets and of each kind of riddle that are shown: more would take the questions of `P3` that
are somebody's."""
HEARD = 8
"""Rows of each kind of riddle that are shown with their reply, so that members can be asked who would give it."""
TOLD = 60
"""Instructions that are shown with their reply, of those where both are `SHORT`."""
SHORT = (1_000, 400)
"""Characters of an instruction and of its reply: longer ones take members minutes."""
MMLU = 300
"""Of its questions that are shown, spread over its subjects: they are all put in one form."""


def sources(folder: Path, fallback: str) -> dict[str, list[Example]]:
    """Return the requests of each source, with the member that should sit.

    Intents and what users of a service want are the dispatcher's, who says in fixed form what is meant; what nobody was
    trained for is the fallback's.

    Raises:
        BadRows: a set is not there, or cannot be read.
    """
    found: dict[str, list[Example]] = {}
    for example in _examples(folder, fallback):
        found.setdefault(example.source, []).append(example)
    return found


def unlabelled(folder: Path) -> list[str]:
    """Return what people ask elsewhere, whoever it may be for: none of it is tried, here or at unseen work.

    What users of a service say beyond what they want (CC-BY-SA-4.0), and exam questions (Apache-2.0) but those of
    `open_work`.

    Raises:
        BadRows: a set is not there, or cannot be read.
    """
    return [text.strip() for text in _asked(folder) if text.strip()]


def open_work(folder: Path) -> dict[str, list[Row]]:
    """Return requests that no member was trained for, by set, and the replies that are known: they are the fallback's.

    Riddles (``bbh.jsonl``) and questions about a passage (``p3_sample``), of tasks and sets that are not held out,
    instructions (``self_instruct``, ``mt_bench``: those without a reference) and exam questions (``routellm_mmlu``).

    Raises:
        BadRows: a set is not there, or cannot be read.
    """
    found: dict[str, list[Row]] = {}
    for name, text, *replies in _open(folder):
        if text.strip():
            found.setdefault(name, []).append(Row(request=text.strip(), replies=tuple(map(str.strip, replies))))
    return found


def _examples(folder: Path, fallback: str) -> Iterator[Example]:
    for part in public_sets.CLINC150:
        for _, intent in entries(folder / part, Intent):
            member = fallback if intent.domain in NOBODYS else "dispatcher"
            yield Example(message=intent.text, member=member, source=f"clinc150/{intent.domain}")
    for _, dialogue in entries(folder / public_sets.SGD, Dialogue):
        for turn in dialogue.turns:
            if "INFORM_INTENT" in turn.acts and turn.speaker == "USER":
                yield Example(message=turn.utterance, member="dispatcher", source="sgd")
    for _, row in entries(folder / public_sets.P3, Prompt):
        if row.template in P3:
            member, source = P3[row.template], f"p3/{row.template}"
            yield Example(message=row.prompt.strip(), member=member, source=source)
    for _, asked in entries(folder / public_sets.TRUTHFUL_QA, Misconception):
        yield Example(message=asked.question, member=fallback, source="truthfulqa")


def _asked(folder: Path) -> Iterator[str]:
    for _, dialogue in entries(folder / public_sets.SGD, Dialogue):
        for turn in dialogue.turns:
            if turn.speaker == "USER" and "INFORM_INTENT" not in turn.acts:
                yield turn.utterance
    _, others = _exam(folder)
    yield from others


def _exam(folder: Path) -> tuple[list[str], list[str]]:
    """Return exam questions that are shown as open work, and the others."""
    prompts = [question.prompt for _, question in entries(folder / public_sets.MMLU, Exam)]
    step = max(1, len(prompts) // MMLU)
    return prompts[::step], [prompt for number, prompt in enumerate(prompts) if number % step]


def _open(folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield set, request, and, where it is short and not one of too many, its reply."""
    riddles = [riddle for _, riddle in entries(folder / public_sets.BBH, Riddle)]
    kinds = {riddle_of(riddle.task) for riddle in riddles}
    for kind in sorted(kinds - held_out(kinds)):
        for number, riddle in enumerate([riddle for riddle in riddles if riddle_of(riddle.task) == kind][:OF_A_SET]):
            yield "bbh", riddle.input, *([riddle.target] if number < HEARD else [])
    known = set(OPEN_P3) - held_out(OPEN_P3)
    rows = [row for _, row in entries(folder / public_sets.P3, Prompt)]
    for name in sorted(known):
        of_set = [row for row in rows if row.template.startswith(name)]
        for row in of_set[:OF_A_SET]:
            yield f"p3/{name}", row.prompt, row.completion
    told_how = entries(folder / public_sets.USER_INSTRUCTIONS, Instruction)
    instructions = [(each.request, each.reply) for _, each in told_how]
    short = [each for each in instructions if each[1] and all(len(x) <= y for x, y in zip(each, SHORT, strict=True))]
    told = short[:: max(1, len(short) // TOLD)][:TOLD]
    for instruction, reply in instructions:
        yield "self-instruct", instruction, *([reply] if (instruction, reply) in told else [])
    tried = {question.turns[0] for _, question in entries(folder / public_sets.MT_BENCH, Question)}
    for _, question in entries(folder / public_sets.VICUNA, Question):
        if question.turns[0] not in tried:  # one stands in both
            yield "mt-bench", question.turns[0]
    for prompt in _exam(folder)[0]:
        yield "mmlu", prompt
