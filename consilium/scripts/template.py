"""Texts with names in braces: fixed names are replaced by their values, and nothing else happens to a text."""

import re
from collections.abc import Mapping
from graphlib import TopologicalSorter

_NAME = re.compile(r"\{\{[\w.-]+\}\}|\{([a-zA-Z_][\w.-]*)\}")


def names_in(text: str) -> list[str]:
    """Return the names that stand in single braces, in their order; ``{{name}}`` is text.

    >>> names_in('{row.word} is {{no}} name in {"json": 1}, {verdict}')
    ['row.word', 'verdict']
    """
    return [match[1] for match in _NAME.finditer(text) if match[1]]


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return the text with every name replaced; what the values hold is not looked at again.

    >>> filled("{a} and {{a}}", {"a": "{b}", "b": "1"})
    '{b} and {a}'
    """
    return _NAME.sub(lambda match: values[match[1]] if match[1] else match[0][1:-1], text)


def resolved(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with those that stand in each other filled in.

    Raises:
        KeyError: a name that is no variable; its arguments are the variable and the name.
        graphlib.CycleError: they go round in a circle; its second argument is the way.

    >>> resolved({"whole": "{part}!", "part": "a"})["whole"]
    'a!'
    """
    needs = {name: names_in(text) for name, text in variables.items()}
    for name, needed in needs.items():
        for other in needed:
            if other not in variables:
                raise KeyError(name, other)
    done: dict[str, str] = {}
    for name in TopologicalSorter(needs).static_order():
        done[name] = filled(variables[name], done)
    return done
