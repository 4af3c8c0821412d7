"""SQL queries, looked at as text and never run: their aggregate, their conditions, and the whole."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from consilium.errors import BadRows
from consilium.evaluation.texts import check_references

AGGREGATES = ("COUNT", "MAX", "MIN", "SUM", "AVG")
OPERATORS = ("=", "<", ">", "<=", ">=", "!=", "<>", "LIKE", "IN", "BETWEEN", "IS")
_KEYWORDS = frozenset(("SELECT", "FROM", "TABLE", "WHERE", "AND", "OR", *AGGREGATES, *OPERATORS))
_WORD = re.compile(r'(?<!\S)"+[^"]*"+(?!\S)|\S+')
_AGGREGATE = re.compile(rf"({'|'.join(AGGREGATES)})(?:\s*\(.*|\s+\S.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryForm:
    """What a query asks for, its column names and values left aside."""

    aggregate: str
    """One of `AGGREGATES`, or empty."""
    operators: tuple[str, ...]
    """Sorted, one for each condition: one of `OPERATORS`, or ``?`` for a condition without; and each ``OR``."""

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the form of ``SELECT [aggregate] column FROM .. [WHERE condition [AND condition ..]]``, or None.

        Keywords in any case; a column is one word, as is a value that is not in double quotation marks.

        >>> QueryForm.read('SELECT MAX FEE FROM TABLE WHERE BERTH = "north quay" AND HOUR > 9 ;')
        QueryForm(aggregate='MAX', operators=('=', '>'))
        >>> QueryForm.read("Nine boats.") is None
        True
        """
        words = _words(text)
        keys = [word.upper() for word in words]
        where = keys.index("WHERE") if "WHERE" in keys else len(keys)
        if keys[:1] != ["SELECT"] or "FROM" not in keys[2:where]:
            return None
        end = max(place for place in range(2, where) if keys[place] == "FROM")
        aggregate = _AGGREGATE.fullmatch(" ".join(words[1:end]))
        return cls(
            aggregate=aggregate[1].upper() if aggregate else "", operators=tuple(sorted(_operators(keys[where + 1 :])))
        )


def structure_match(statement: str, references: Sequence[str]) -> float:
    """Return 1 where the statement is a query of the same `QueryForm` as a reference, else 0.

    Aggregate, number of conditions and operators, as in SQLNet's sketch (Xu et al. 2017, arXiv 1711.04436); columns
    and values are left out, which cannot be known without the table's header.

    Raises:
        BadRows: there is no reference, or one of them is no query.

    >>> structure_match("select name from table where age = 3", ["SELECT BOAT FROM TABLE WHERE BERTH = 4 ;"])
    1.0
    >>> structure_match("SELECT COUNT BOAT FROM TABLE WHERE BERTH = 4", ["SELECT BOAT FROM TABLE WHERE BERTH = 4 ;"])
    0.0
    """
    return float(QueryForm.read(statement) in _forms(references))


def aggregate_match(statement: str, references: Sequence[str]) -> float:
    """Return 1 where the statement is a query with the aggregate, or the lack of one, of a reference; else 0.

    The "agg" column of Xu et al. 2017 (arXiv 1711.04436), where the aggregators are scored by themselves.

    Raises:
        BadRows: there is no reference, or one of them is no query.

    >>> aggregate_match("SELECT MAX(FEE) FROM TABLE", ["SELECT MAX TOLL FROM TABLE WHERE BERTH = 4 ;"])
    1.0
    """
    form = QueryForm.read(statement)
    return float(form is not None and form.aggregate in [due.aggregate for due in _forms(references)])


def operators_match(statement: str, references: Sequence[str]) -> float:
    """Return 1 where the statement is a query with the operators of a reference, each as often; else 0.

    Raises:
        BadRows: there is no reference, or one of them is no query.

    >>> operators_match("SELECT FEE FROM TABLE WHERE A > 1 AND B = 2", ["SELECT X FROM TABLE WHERE C = 3 AND D > 4 ;"])
    1.0
    """
    form = QueryForm.read(statement)
    return float(form is not None and form.operators in [due.operators for due in _forms(references)])


def query_match(statement: str, references: Sequence[str]) -> float:
    """Return 1 where the statement is a reference, but for white space, the case of keywords and a last semicolon.

    Logical form accuracy (Zhong, Xiong and Socher 2017, "Seq2SQL", arXiv 1709.00103) on the text: the order of
    conditions counts.

    Raises:
        BadRows: there is no reference, or one of them is no query.

    >>> query_match("select FEE  from table where BERTH = 4", ["SELECT FEE FROM TABLE WHERE BERTH = 4 ;"])
    1.0
    """
    _forms(references)
    return float(_plain(statement) in map(_plain, references))


def _words(text: str) -> list[str]:
    return _WORD.findall(re.sub(r"\s*;\s*$", "", text.strip()))


def _plain(text: str) -> list[str]:
    return [word.upper() if word.upper() in _KEYWORDS else word for word in _words(text)]


def _operators(keys: Sequence[str]) -> list[str]:
    """Return the operator of each condition; the first word of a condition is its column, whatever it looks like."""
    found, condition = [], list[str]()
    for key in [*keys, "AND"] if keys else []:
        if key in ("AND", "OR") and condition:
            found += [_operator(condition)] + ["OR"] * (key == "OR")
            condition = []
        else:
            condition.append(key)
    return found


def _operator(condition: Sequence[str]) -> str:
    apart = next((word for word in condition[1:] if word in OPERATORS), None)
    joined = re.search(r"[<>!]=|<>|[=<>]", " ".join(condition).split('"')[0])
    return apart or (joined[0] if joined else "?")


def _forms(references: Sequence[str]) -> list[QueryForm]:
    check_references(references)
    forms = []
    for reference in references:
        if (form := QueryForm.read(reference)) is None:
            raise BadRows(f"reference {reference!r:.80} is no query. Correct the row: a SELECT with its FROM.")
        forms.append(form)
    return forms
