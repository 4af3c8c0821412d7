"""Public sets of requests from elsewhere, in a folder that holds them under their own names and in their own fields.

``clinc150`` (CC-BY-3.0), ``sgd`` (CC-BY-SA-4.0), ``p3_sample``, ``truthfulqa``, ``self_instruct``, ``mt_bench``,
``routellm_mmlu`` (all Apache-2.0), and ``bbh.jsonl`` (MIT). Fields that nothing is made of are passed over.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consilium.errors import BadRows
from consilium.training.rows import read_jsonl


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Intent(_Entry):
    """CLINC150: what somebody wants, and of which domain that is."""

    text: str
    domain: str


class Speech(_Entry):
    """SGD: what one says in a dialogue, and what that does."""

    speaker: str
    utterance: str
    acts: tuple[str, ...]


class Dialogue(_Entry):
    """SGD: somebody and a service."""

    turns: tuple[Speech, ...]


class Prompt(_Entry):
    """P3: a row of a set, put into words by one of its templates."""

    template: str
    prompt: str
    completion: str


class Misconception(_Entry):
    """TruthfulQA: a question that is often answered wrongly."""

    question: Annotated[str, Field(alias="Question")]


class Exam(_Entry):
    """MMLU, as RouteLLM puts it: a question and its four answers."""

    prompt: str


class Riddle(_Entry):
    """BIG-Bench Hard: a task's row."""

    task: str
    input: str
    target: str


class Instance(_Entry):
    """Self-Instruct: what an instruction is given, and what comes of it."""

    input: str
    output: str


class Instruction(_Entry):
    """Self-Instruct: an instruction with its instances."""

    instruction: str
    instances: Annotated[tuple[Instance, ...], Field(min_length=1)]

    @property
    def request(self) -> str:
        """The instruction with what its first instance gives it."""
        return f"{self.instruction}\n\n{self.instances[0].input}".strip()

    @property
    def reply(self) -> str:
        """What comes of it."""
        return self.instances[0].output.strip()


class Question(_Entry):
    """MT-Bench: the turns of somebody who asks, and a reference for each where there are any."""

    turns: Annotated[tuple[str, ...], Field(min_length=1)]
    reference: tuple[str, ...] | None = None


CLINC150 = tuple(Path("clinc150", f"{part}.jsonl") for part in ("test", "oos_train", "oos_val"))
SGD = Path("sgd", "dialogues.jsonl")
P3 = Path("p3_sample", "p3_ood.jsonl")
TRUTHFUL_QA = Path("truthfulqa", "truthfulqa.jsonl")
MMLU = Path("routellm_mmlu", "mmlu_router.jsonl")
BBH = Path("bbh.jsonl")
USER_INSTRUCTIONS = Path("self_instruct", "user_oriented_instructions.jsonl")
SEED_INSTRUCTIONS = Path("self_instruct", "seed_tasks.jsonl")
MT_BENCH = Path("mt_bench", "question.jsonl")
VICUNA = Path("mt_bench", "vicuna_question.jsonl")

E = TypeVar("E", bound=BaseModel)


def entries(path: Path, kind: type[E]) -> Iterator[tuple[int, E]]:
    """Yield line number, from 1, and entry of a set's file.

    Raises:
        BadRows: it cannot be read, or a line lacks what the set's have; says file, line and field.
    """
    for number, line in read_jsonl(path):
        try:
            yield number, kind.model_validate(line)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise BadRows(
                f"{path} line {number}: {field}: {first['msg']}. Put the set there as it is published."
            ) from None
