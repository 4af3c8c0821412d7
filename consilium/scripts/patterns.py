"""Patterns and schemas out of scripts: matched in time linear in the text, and never looking anything up elsewhere."""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import re2
from jsonschema import Draft202012Validator, SchemaError, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.validators import extend

MAX_PATTERN_MEMORY = 1024 * 1024
"""Bytes of RE2's program and caches; patterns that need more do not compile."""

Schema = dict[str, Any] | bool

_REFUSED = ("$ref", "$dynamicRef", "patternProperties")
"""References make bombs and endless circles; names of patterned properties are matched by Python's `re`."""


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:  # noqa: ANN401 -- re2 ships no types
    """Return the pattern, ready to search. Raises `ValueError` where RE2 does not take it.

    >>> bool(compiled(r"^two? boats").search("two boats"))
    True
    """
    options = re2.Options()
    options.max_mem = MAX_PATTERN_MEMORY
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise ValueError(f"RE2 does not take the pattern {pattern!r:.80}: {reason}") from error


def checked_schema(schema: Schema) -> Schema:
    """Return the schema. Raises `ValueError` where it is no schema, or holds what is not read."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"no JSON Schema: {error.message:.200}") from error
    _check_part(schema)
    return schema


def misfit(text: str, schema: Schema) -> str | None:
    """Return why a text does not fit the schema; None where it does.

    >>> misfit('{"a": 1}', {"required": ["a"]}), misfit("{}", {"required": ["a"]})
    (None, "'a' is a required property")
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"no JSON: {error}"
    worst = best_match(_VALIDATOR(schema).iter_errors(value))
    return None if worst is None else worst.message[:200]


def _check_part(part: object) -> None:
    if isinstance(part, dict):
        if refused := [key for key in _REFUSED if key in part]:
            raise ValueError(f"{refused[0]!r} is not read in a schema. Write the part out")
        if isinstance(part.get("pattern"), str):
            compiled(part["pattern"])
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _check_part(inner)


def _pattern(validator: object, pattern: str, instance: object, schema: object) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not compiled(pattern).search(instance):
        yield ValidationError(f"{instance!r:.80} does not match {pattern!r}")


# The library's own takes Python's `re`, which needs exponential time for a hostile pattern.
_VALIDATOR = extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call] # it has no types
