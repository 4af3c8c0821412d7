"""The suite that comes with the package, and the members that it names."""

from collections import Counter
from pathlib import Path

import pytest

from consilium import Evaluation, Suite
from consilium.suites.suite import shipped_suites


def test_a_suite_comes_with_the_package_and_fits_the_members() -> None:
    assert [path.name for path in shipped_suites()] == ["desks.suite.toml"]
    suite = Suite.load("desks")
    assert suite.file.description
    assert Counter(case.part.name for case in suite.cases) == dict.fromkeys(("commands", "slips", "tasks"), 16)


@pytest.mark.slow
@pytest.mark.model
async def test_the_shipped_suite_is_evaluated_with_the_real_members(tmp_path: Path) -> None:
    evaluation = Evaluation(Suite.load("desks"), tmp_path, sample=6)
    expected = sum(arm.statements for arm in await evaluation.forecast(evaluation.suite.open()))
    async for grade in evaluation.run(evaluation.suite.open()):
        assert grade.error is None
    assert evaluation.findings is not None
    scores = {arm: evaluation.findings.comparison.averages()[arm] for arm in evaluation.findings.arms}
    assert scores["oracle"] == max(scores.values())
    assert scores["oracle"] > scores["base"]
    assert evaluation.paid.statements == expected
    assert (tmp_path / "report.html").stat().st_size > 50_000
