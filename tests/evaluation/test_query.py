"""SQL queries as text."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.errors import BadRows
from consilium.evaluation.query import (
    AGGREGATES,
    QueryForm,
    aggregate_match,
    operators_match,
    query_match,
    structure_match,
)

Metric = Callable[[str, Sequence[str]], float]
METRICS: tuple[Metric, ...] = (structure_match, aggregate_match, operators_match, query_match)
DUE = 'SELECT MAX FEE FROM TABLE WHERE BERTH = "north quay" AND HOUR > 9 ;'

columns = st.sampled_from(["FEE", "FROM", "COUNT", "AND", "MAX_(£)", "NO.", "TIME_<9", "BOAT'S_NAME", "IN"])
values = st.sampled_from(["4", '"north quay"', '"a = b AND c > d"', "9=9", '36"', '"WHERE FROM"', "Mew"])
conditions = st.lists(st.tuples(columns, st.sampled_from("=<>"), values), max_size=4)


class TestForm:
    @pytest.mark.parametrize(
        ("text", "aggregate", "operators"),
        [
            ("SELECT FEE FROM TABLE ;", "", ()),
            ("SELECT FEE FROM TABLE WHERE BERTH = 4 ;", "", ("=",)),
            ("select count ( fee ) from harbour where berth=4", "COUNT", ("=",)),
            ("SELECT AVG(FEE) FROM TABLE WHERE A > 1 AND B < 2 AND C = 3", "AVG", ("<", "=", ">")),
            ("SELECT COUNT FROM TABLE WHERE MAX = 1 ;", "", ("=",)),
            ("SELECT MIN FROM FROM TABLE WHERE FROM < 1975 ;", "MIN", ("<",)),
            ("SELECT COUNTRY FROM TABLE", "", ()),
            ("SELECT MAX_FEE FROM TABLE", "", ()),
            ('SELECT FEE FROM TABLE WHERE LOG = "sold AND paid > due" AND TIDE > 2 ;', "", ("=", ">")),
            ("SELECT FEE FROM TABLE WHERE SCORE = 71-70=141 ;", "", ("=",)),
            ("SELECT FEE FROM TABLE WHERE FEE_(<1000) > 5 ;", "", (">",)),
            ("SELECT FEE FROM TABLE WHERE A >= 1 AND B != 2 AND C LIKE 'x%'", "", ("!=", ">=", "LIKE")),
            ("SELECT FEE FROM TABLE WHERE A>=1", "", (">=",)),
            ("SELECT FEE FROM TABLE WHERE A = 1 OR B = 2", "", ("=", "=", "OR")),
            ("SELECT FEE FROM TABLE WHERE A", "", ("?",)),
            ("SELECT FEE FROM TABLE WHERE", "", ()),
            ("SELECT FEE FROM TABLE WHERE IN = 3 AND GROUP = 2", "", ("=", "=")),
        ],
    )
    def test_known_values(self, text: str, aggregate: str, operators: tuple[str, ...]) -> None:
        assert QueryForm.read(text) == QueryForm(aggregate=aggregate, operators=operators)

    @pytest.mark.parametrize(
        "text",
        ["", "Nine boats.", "SELECT", "SELECT FROM TABLE", "SELECT FEE", f"Sure: {DUE}", "DROP TABLE BOATS ;", "```"],
    )
    def test_what_is_no_query_has_none(self, text: str) -> None:
        assert QueryForm.read(text) is None
        assert [metric(text, [DUE]) for metric in METRICS] == [0.0] * 4

    @given(aggregate=st.sampled_from(["", *AGGREGATES]), column=columns, where=conditions)
    def test_what_a_query_was_made_of_is_read_from_it(
        self, aggregate: str, column: str, where: list[tuple[str, str, str]]
    ) -> None:
        asked = " AND ".join(" ".join(condition) for condition in where)
        parts = ["SELECT", aggregate, column, "FROM TABLE", "WHERE" if where else "", asked, ";"]
        text = " ".join(part for part in parts if part)
        operators = tuple(sorted(operator for _, operator, _ in where))
        assert QueryForm.read(text) == QueryForm(aggregate=aggregate, operators=operators)
        assert [metric(text, [text]) for metric in METRICS] == [1.0] * 4


@pytest.mark.parametrize(
    ("statement", "scores"),
    [
        (DUE, (1, 1, 1, 1)),
        (DUE.rstrip(" ;").replace("SELECT MAX", "select  max"), (1, 1, 1, 1)),
        (DUE.replace("north", "North"), (1, 1, 1, 0)),
        (DUE.replace("FEE", "fee"), (1, 1, 1, 0)),
        ("SELECT MAX TOLL FROM TABLE WHERE A > 1 AND B = 2", (1, 1, 1, 0)),
        (DUE.replace("MAX", "MIN"), (0, 0, 1, 0)),
        (DUE.replace("MAX ", ""), (0, 0, 1, 0)),
        (DUE.replace(">", "<"), (0, 1, 0, 0)),
        (DUE.replace(" AND HOUR > 9", ""), (0, 1, 0, 0)),
        (DUE.replace(" ;", " AND TIDE = 2 ;"), (0, 1, 0, 0)),
        ("SELECT FEE FROM TABLE", (0, 0, 0, 0)),
    ],
)
def test_each_part_is_scored_by_itself(statement: str, scores: tuple[float, ...]) -> None:
    assert tuple(metric(statement, [DUE]) for metric in METRICS) == scores


def test_any_reference_will_do_but_their_parts_are_not_mixed() -> None:
    references = [DUE, "SELECT FEE FROM TABLE WHERE BERTH = 4 ;"]
    assert structure_match("SELECT X FROM TABLE WHERE Y = 1", references) == 1.0
    assert structure_match("SELECT MAX X FROM TABLE WHERE Y = 1", references) == 0.0


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("references", "reason"), [([], "references="), ([DUE, "find ."], "'find .' is no query")])
def test_references_have_to_be_queries(metric: Metric, references: list[str], reason: str) -> None:
    with pytest.raises(BadRows, match=reason):
        metric(DUE, references)


@pytest.mark.parametrize("metric", METRICS)
@given(statement=st.text(max_size=40))
def test_a_score_is_one_or_nothing_whatever_a_seat_says(metric: Metric, statement: str) -> None:
    assert metric(statement, [DUE]) in (0.0, 1.0)
