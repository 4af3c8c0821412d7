"""What a script expects: of one turn, or of the whole play."""

from typing import Annotated, Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from consilium.members.persona import Text

Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
"""Of a member, role, variable, turn, or set of rows."""


class Table(BaseModel):
    """A table of a script; what stands under a field in the code is what docs/scripts.md says of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Number(Table):
    """The only number in the verdict, or the last of several: near a value, or in a range."""

    near: float | str | None = None
    """The value; as text it may be of names in braces, such as ``"{row.answer}"``."""
    within: Annotated[float, Field(ge=0)] = 0.0
    """How far from ``near`` it may be."""
    least: float | None = None
    """The lower bound."""
    most: float | None = None
    """The upper bound."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if (self.near is None) == (self.least is None and self.most is None):
            raise ValueError("a number is expected 'near' a value, or from 'least' to 'most'. Give one of the two")
        return self


class Measured(Table):
    """A metric of the verdict against references."""

    name: Name
    """``exact_match``, ``chrf``, or any other of `consilium.evaluation.work`."""
    references: tuple[Text, ...] = ()
    """Accepted texts; names in braces are replaced."""
    at_least: Share
    """The least that will do."""


class Judged(Table):
    """A judge's answer to a question about the verdict: how likely it finds Yes against No, from 0 to 1."""

    question: Text
    """That Yes is the good answer to; names in braces are replaced."""
    by: Name | None = None
    """The member or role that judges. Default: the catalogue's fallback, the bare base."""
    at_least: Share
    """The least that will do."""


class Expectation(Table):
    """What must hold after a turn. Each field that is given is one expectation."""

    sits: tuple[Name, ...] = ()
    """Members or roles that sat, others may have too."""
    absent: tuple[Name, ...] = ()
    """Members or roles that did not sit."""
    abstained: bool | None = None
    """Whether the router found that nobody fits."""
    equals: str | None = None
    """The verdict, white space around it aside; names in braces are replaced."""
    matches: Annotated[str, StringConstraints(max_length=1_000)] | None = None
    """A regular expression that is found in the verdict, in RE2's syntax: no look-around, no back-references."""
    json_schema: dict[str, Any] | bool | None = None
    """A JSON Schema (draft 2020-12) that the verdict fits, which has to be JSON; without references."""
    number: Number | None = None
    """The number that the verdict comes to."""
    metrics: tuple[Measured, ...] = ()
    """Metrics of the verdict, each at least so much."""
    judged: tuple[Judged, ...] = ()
    """Questions to a judge, each answered with at least so much certainty."""
    tokens_at_most: Annotated[int, Field(ge=0)] | None = None
    """Tokens that all seats spoke together."""
    agreement_at_least: Share | None = None
    """Share of the speakers' weight behind the verdict."""
    dissent_kept: bool | None = None
    """Whether a seat that stands for something else is kept beside the verdict."""

    @field_validator("matches")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        from consilium.scripts.patterns import compiled

        if pattern is not None:
            compiled(pattern)
        return pattern

    @field_validator("json_schema")
    @classmethod
    def _is_schema(cls, schema: dict[str, Any] | bool | None) -> dict[str, Any] | bool | None:
        from consilium.scripts.patterns import checked_schema

        return None if schema is None else checked_schema(schema)


class EndExpectation(Expectation):
    """What must hold at the end.

    Sitting, abstaining and dissent count where any turn had it; tokens are all of the play's; agreement is the mean of
    its turns; texts are those of the last verdict.
    """
