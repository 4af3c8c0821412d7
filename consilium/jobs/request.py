"""What one row of a job asks of the council: a line in OpenAI's Batch format, or a plain row with a mapping."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consilium.council.admission import is_torn
from consilium.council.options import AskOptions, addressed
from consilium.errors import BadRows
from consilium.members.catalogue import Catalogue

MAX_ID = 512

_Text: TypeAlias = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BatchMessage(_Strict):
    """One entry of ``body.messages``."""

    role: Literal["system", "user"]
    content: str


class BatchBody(_Strict):
    """The chat completion that a line asks for. Sampling belongs to the personas, and is not taken from a line."""

    model: _Text
    messages: Annotated[tuple[BatchMessage, ...], Field(min_length=1)]
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1)] = None


class BatchLine(_Strict):
    """One line of a Batch file (https://platform.openai.com/docs/guides/batch)."""

    custom_id: Annotated[str, Field(min_length=1, max_length=MAX_ID)]
    method: Literal["POST"]
    url: Literal["/v1/chat/completions"]
    body: BatchBody


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRequest:
    """One row, understood."""

    custom_id: str
    model: str
    message: str
    options: AskOptions


class RequestReader:
    """Makes requests out of rows.

    Args:
        catalogue: whose members a row may name.
        columns: the column of ``message``, and of ``custom_id`` and ``model`` where they have one; then all rows are
            plain ones.
        model: of rows that name none.
        options: that every row is asked with; see `AskOptions`.
    """

    def __init__(self, catalogue: Catalogue, columns: Mapping[str, str], model: str, options: AskOptions) -> None:
        if unknown := columns.keys() - {"message", "custom_id", "model"}:
            raise BadRows(f"mapping of {min(unknown)!r}: only message, custom_id and model are read from columns.")
        self._catalogue = catalogue
        self._columns = columns
        self._model = model
        self._options = options
        addressed(model, catalogue)  # raises, where it is nobody's name

    def read(self, number: int, row: Mapping[str, Any]) -> RowRequest:
        """Return what the row in line ``number`` asks. Raises `BadRows` or `UnknownMember`, without the line's name.

        Plain rows may have a column called ``url`` or ``body`` too; whoever maps columns has plain rows.
        """
        is_batch = not self._columns and {"body", "url"} <= row.keys()
        return self._batch(row) if is_batch else self._plain(number, row)

    def _batch(self, row: Mapping[str, Any]) -> RowRequest:
        try:
            line = BatchLine.model_validate(row)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"]))
            raise BadRows(f"{where}={fault['input']!r:.60}: {fault['msg']}. Correct the line.") from error
        said = [message.content for message in line.body.messages]
        if [message.role for message in line.body.messages][-1] != "user" or len(said) > 2 or not said[-1].strip():
            raise BadRows(
                "body.messages must be one user message that says something, with or without a system message before "
                "it. Correct the line; a conversation is held with `consilium chat`."
            )
        limit = line.body.max_completion_tokens or line.body.max_tokens
        return self._request(line.custom_id, line.body.model, "\n\n".join(said), limit)

    def _plain(self, number: int, row: Mapping[str, Any]) -> RowRequest:
        message = self._column(row, "message")
        if not isinstance(message, str) or not message.strip():
            raise BadRows(f"the message is {message!r:.60}. Each row needs a text there.")
        named = "custom_id" in self._columns or "custom_id" in row
        custom_id = self._column(row, "custom_id") if named else f"row-{number}"
        if isinstance(custom_id, bool) or not isinstance(custom_id, str | int) or not 0 < len(str(custom_id)) <= MAX_ID:
            raise BadRows(f"custom_id={custom_id!r:.60} must be a text of 1 to {MAX_ID} characters, or a whole number.")
        model = self._column(row, "model") if "model" in self._columns else self._model
        return self._request(str(custom_id), str(model), message, None)

    def _column(self, row: Mapping[str, Any], field: str) -> object:
        column = self._columns.get(field, field)
        if column not in row:
            raise BadRows(f"no column {column!r} for {field}; there are {', '.join(map(repr, row))}. Map another one.")
        return row[column]

    def _request(self, custom_id: str, model: str, message: str, max_tokens: int | None) -> RowRequest:
        if is_torn(custom_id + message):
            raise BadRows(f"{custom_id!r:.60}: the row holds half a character, a lone surrogate. Correct the line.")
        options = AskOptions(**{**self._options, **addressed(model, self._catalogue)})
        if max_tokens is not None:
            options["max_tokens"] = max_tokens
        return RowRequest(custom_id=custom_id, model=model, message=message, options=options)
