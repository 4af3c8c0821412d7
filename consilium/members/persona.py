"""A persona: the written definition of a role, one ``persona.toml`` in a folder of its own."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from consilium.errors import BadPersona

MAX_FILE_BYTES = 64 * 1024
"""A persona is a page of text; anything larger is refused before it is parsed."""

MAX_TEXT_CHARS = 4_000
"""Longest single text of a persona."""

MAX_RANK = 128
"""Highest rank of an adapter; a control that learns every member's work at once needs the sum of theirs."""

MAX_DRAFTS = 64
"""Drafts of one statement; what more of them tell is little, and each costs as much as the first."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
BaseName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*@[0-9a-f]{12}$")]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return ``text``. Raises `ValueError` where it holds a control character or a bidirectional override."""
    if found := _CONTROL.search(text):
        raise ValueError(f"holds the control character {found.group()!r}")
    return text


Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT_CHARS), AfterValidator(printable)
]

Model = TypeVar("Model", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(gt=0, le=1)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=40)]


class SamplingDefaults(_Strict):
    """How a member speaks unless the caller says otherwise."""

    max_tokens: Annotated[int, Field(ge=1, le=4_096)] = 128
    """Longest statement, in tokens."""
    min_tokens: Annotated[int, Field(ge=0, le=4_096)] = 0
    """The member may not end its statement before so many tokens; a stop string may."""
    temperature: Temperature = 0.0
    """0 takes the likeliest token each time; above 0 the logits are divided by it and a token is drawn."""
    top_p: TopP = 1.0
    """Draw only from the smallest set of tokens whose probabilities reach this sum."""
    repetition_penalty: Annotated[float, Field(ge=1, le=2)] = 1.0
    """Divide positive (multiply negative) logits of tokens that the statement already holds; 1 is off (CTRL, eq. 5).
    vLLM takes the prompt's tokens for said, too."""
    stop: tuple[Stop, ...] = ()
    """Strings that end a statement; they are not part of it."""
    drafts: Annotated[int, Field(ge=1, le=MAX_DRAFTS, exclude_if=lambda drafts: drafts == 1)] = 1
    """How often a statement is drawn, of which the one is said that the member finds likeliest; at temperature 0 there
    is one. A single one is not written down, so that what was recorded before there were drafts is found."""
    length_penalty: Annotated[float, Field(ge=0, le=4, exclude_if=lambda power: power == 1)] = 1.0
    """Of a draft's length in tokens, the power that its log-likelihood is divided by: 1 compares means over the tokens,
    more than 1 favours longer drafts (as in transformers' beam search; Wu et al., arXiv 1609.08144, eq. 14)."""

    @property
    def drafts_drawn(self) -> int:
        """How many drafts a statement takes."""
        return self.drafts if self.temperature > 0 else 1

    @property
    def most_spoken(self) -> int:
        """How many tokens a statement may cost, all its drafts together."""
        return self.max_tokens * self.drafts_drawn

    @property
    def undrafted(self) -> Self:
        """The same for whoever says it once: what is likeliest, in place of many drafts."""
        once = {"drafts": 1, "length_penalty": 1.0, "temperature": 0.0}
        return self if self.drafts_drawn == 1 else self.model_copy(update=once)


class AdapterPin(_Strict):
    """The weights a member is bound to, by content."""

    digest: Digest
    """sha256 over configuration and weights, see :func:`consilium.members.adapter.adapter_digest`."""
    base: BaseName
    """The base model it was trained on, ``slug@sha256[:12]``."""


class RowsSpec(_Strict):
    """How rows of a JSONL file become requests and replies; the defaults fit ``{"input": .., "targets": [..]}``."""

    kind: Literal["pairs", "dialogue", "passages"] = "pairs"
    """``pairs``: a row is a request and its replies. ``dialogue``: a speech; a reply answers the one before.
    ``passages``: a text that nobody asked for; its request is the word that is most its own."""
    files: tuple[Annotated[str, StringConstraints(pattern=r"^[\w-]+\.jsonl$")], ...] = ()
    """Files of the data's folder that hold the rows, where it is not laid out as train, dev and test."""
    input: str = "input"
    """Field with the request (pairs)."""
    target: str = "targets"
    """Field with the reply, or with a list of accepted replies (pairs), or with the text (passages)."""
    requests: Annotated[tuple[Text, ...], Field(min_length=1)] = ("{input}",)
    """Phrasings of the request, used in turn; ``{input}`` stands for the field's text."""
    held_out_requests: tuple[Text, ...] = ()
    """Phrasings for the rows that are kept out of training, so that none of them was learned; else ``requests``."""
    learn: Literal["first", "every"] = "first"
    """Whether a training row with several replies teaches the first of them, or is a row for each."""
    interchangeable: tuple[Annotated[tuple[Text, ...], Field(min_length=2)], ...] = ()
    """Lists of words that may stand for one another. What a training row's request and reply share of a list becomes
    the list's next word in both, so that the member learns to copy it, and not to say what most rows say.
    """
    edits_at: str = ""
    """A word, where replies are edits of their requests. Of a training row's edits those that put it in are learned;
    else the reply is made to say what the request says. Empty: all are learned."""
    speaker: str = ""
    """Whose speeches are learned (dialogue); empty: everybody's."""
    held_out: tuple[str, ...] = ()
    """Works kept out of training and used for testing. Without it the last fifth of a single file is."""
    exclude: tuple[str, ...] = ()
    """Rows that hold one of these words, in any case, are left out."""
    min_input_chars: Annotated[int, Field(ge=1)] = 1
    """Rows with a shorter request are left out."""
    max_input_chars: Annotated[int, Field(ge=1)] = 100_000
    """Rows with a longer request are left out."""
    min_target_chars: Annotated[int, Field(ge=1)] = 1
    """Rows with a shorter reply are left out."""
    max_target_chars: Annotated[int, Field(ge=1)] = 100_000
    """Rows with a longer reply are left out."""


class Recipe(_Strict):
    """The few figures of a training run."""

    limit: Annotated[int, Field(ge=1)] | None = None
    """Train on at most this many rows."""
    epochs: Annotated[float, Field(gt=0, le=20)] = 1.0
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 2e-3
    rank: Annotated[int, Field(ge=1, le=MAX_RANK)] = 8
    token_weights: dict[Annotated[str, StringConstraints(min_length=1)], Annotated[float, Field(gt=0, le=100)]] = {}
    """Tokens by their text, and how many times another token's loss theirs counts. What a weight does to a decoder that
    takes the likeliest token: it takes this one where its odds are one to the weight, not where they are even."""

    def at_rank(self, rank: int) -> Self:
        """Return the same at another rank, with a learning rate that falls as the rank grows.

        A delta is a sum over its ranks, and a step moves each: at the rate of rank 8, rank 80 forgets as fast as it
        learns. `consilium train multitask --data ../shared/data/house` shows it: dev loss after 150 steps is 1.13, with
        ``--learning-rate 2e-3`` 2.11, and the base's 2.41.
        """
        return self.model_copy(update={"rank": rank, "learning_rate": self.learning_rate * self.rank / rank})


class Training(Recipe):
    """Where an adapter comes from: enough to make it again, and to know whether one may."""

    source: Text
    """The data's origin, with its revision."""
    licence: Text
    """Licence of the data, hence of the adapter."""
    rows: RowsSpec = RowsSpec()
    metric: Literal["frame", "label", "correction", "split", "coverage", "translation", "command", "query", "style"]
    """What its held-out statements are scored with, see :mod:`consilium.evaluation.work`."""
    headline: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")] | None = None
    """Which of its work's metrics tables and intervals show, where that is not the work's own choice."""
    least: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    """Shares that a training row's own reply has to reach in metrics of its work, by name; other rows are left out."""


class Persona(_Strict):
    """A role: who it is, when to ask it, how it speaks, and which adapter it is bound to (none: the bare base)."""

    schema_version: Literal[1] = 1
    name: Slug
    group: Slug
    description: Text
    system_prompt: Text
    examples: Annotated[tuple[Text, ...], Field(min_length=3, max_length=200)]
    """Requests that this member should be seated for; the router learns from them."""
    follow_ups: Annotated[tuple[Text, ...], Field(max_length=50)] = ()
    """What calls this member in the middle of a conversation, such as "and in Swedish, please"."""
    sampling: SamplingDefaults = SamplingDefaults()
    training: Training | None = None
    adapter: AdapterPin | None = None

    @model_validator(mode="after")
    def _adapter_has_provenance(self) -> Self:
        if self.adapter is not None and self.training is None:
            raise ValueError("an adapter needs a [training] table that names its source and licence")
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and validate one ``persona.toml``.

        Raises:
            BadPersona: the file is missing, larger than 64 KiB, not UTF-8 TOML, or breaks the schema.
        """
        return read_toml(path, cls)


def read_toml(path: Path, model: type[Model]) -> Model:
    """Read a small TOML file into ``model``; every failure is a `BadPersona` that names file, field and remedy."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise BadPersona(f"{path} does not exist; each member of the catalogue needs one.") from error
    except OSError as error:
        raise BadPersona(f"{path} cannot be read: {error.strerror}. Put a plain file there.") from error
    if len(content) > MAX_FILE_BYTES:
        raise BadPersona(
            f"{path} has more than {MAX_FILE_BYTES:,} bytes, which is all that is read. Shorten its texts."
        )
    try:
        return model.model_validate(tomllib.loads(content.decode("utf-8")))
    except ValidationError as error:
        raise BadPersona(f"{path} does not fit the schema: {faults(error)}. Correct those fields.") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, a number of thousands of digits, deep nesting
        raise BadPersona(f"{path} is not readable TOML: {error}. Correct the file.") from error


def faults(error: ValidationError) -> str:
    """Return the first faults that a schema found, each with its field; what the fields hold is left out."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()[:5])
