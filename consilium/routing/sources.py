"""Requests of the members' kinds of work from where their own rows do not come from, to route under shift.

Reads a folder that holds public sets under their own names and in their own fields: ``clinc150``, ``sgd``,
``p3_sample`` and ``truthfulqa`` (CC-BY-3.0, CC-BY-SA-4.0, Apache-2.0, Apache-2.0).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from consilium.routing.classifier import Example
from consilium.training.rows import read_jsonl

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


def sources(folder: Path, fallback: str) -> dict[str, list[Example]]:
    """Return the requests of each source, with the member that should sit.

    Intents and what users of a service want are the dispatcher's, who says in fixed form what is meant; what nobody was
    trained for is the fallback's.

    Raises:
        BadRows: a set is not there, or cannot be read.
    """
    found: dict[str, list[Example]] = {}
    for name, example in _examples(folder, fallback):
        found.setdefault(name, []).append(example)
    return found


def unlabelled(folder: Path) -> list[str]:
    """Return what people ask elsewhere, whoever it may be for: none of it is tried, here or at unseen work.

    What users of a service say beyond what they want, instructions (``self_instruct``, ``mt_bench``: those without a
    reference) and exam questions (``routellm_mmlu``), all under Apache-2.0 but for the dialogues.

    Raises:
        BadRows: a set is not there, or cannot be read.
    """
    return [text.strip() for text in _asked(folder) if text.strip()]


def held_out(names: Iterable[str]) -> frozenset[str]:
    """Return the third of the names that nothing is fitted on, drawn once for all."""
    ordered = sorted(names)
    return frozenset(Random(0).sample(ordered, round(len(ordered) / 3)))


def _examples(folder: Path, fallback: str) -> Iterator[tuple[str, Example]]:
    for part in ("test", "oos_train", "oos_val"):
        for _, row in read_jsonl(folder / "clinc150" / f"{part}.jsonl"):
            member = fallback if row["domain"] in NOBODYS else "dispatcher"
            yield f"clinc150/{row['domain']}", Example(message=row["text"], member=member)
    for _, dialogue in read_jsonl(folder / "sgd" / "dialogues.jsonl"):
        for turn in dialogue["turns"]:
            if "INFORM_INTENT" in turn["acts"] and turn["speaker"] == "USER":
                yield "sgd", Example(message=turn["utterance"], member="dispatcher")
    for _, row in read_jsonl(folder / "p3_sample" / "p3_ood.jsonl"):
        if row["template"] in P3:
            yield f"p3/{row['template']}", Example(message=row["prompt"].strip(), member=P3[row["template"]])
    for _, row in read_jsonl(folder / "truthfulqa" / "truthfulqa.jsonl"):
        yield "truthfulqa", Example(message=row["Question"], member=fallback)


def _asked(folder: Path) -> Iterator[str]:
    for _, dialogue in read_jsonl(folder / "sgd" / "dialogues.jsonl"):
        for turn in dialogue["turns"]:
            if turn["speaker"] == "USER" and "INFORM_INTENT" not in turn["acts"]:
                yield turn["utterance"]
    for _, task in read_jsonl(folder / "self_instruct" / "user_oriented_instructions.jsonl"):
        yield f"{task['instruction']}\n\n{task['instances'][0]['input']}"
    for _, question in read_jsonl(folder / "mt_bench" / "vicuna_question.jsonl"):
        yield question["turns"][0]
    for _, question in read_jsonl(folder / "routellm_mmlu" / "mmlu_router.jsonl"):
        yield question["prompt"]
