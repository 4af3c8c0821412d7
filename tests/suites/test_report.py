"""A report loads nothing, escapes everything, and says the same in HTML, Markdown and JSON."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from consilium import Evaluation
from consilium.engines.protocol import Prompt
from consilium.evaluation.comparison import MINUS, TIMES
from tests.support.suites import graded, load_suite, many_rows, open_suite, said

HOSTILE = "<script src='https://evil.example/x.js'></script><img src=http://evil.example/p.png>"


class Resources(HTMLParser):
    """Notes every tag, and whatever a browser would load or follow."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]


@pytest.fixture
async def folder(harbour: Path, tmp_path: Path) -> Path:
    """Return the folder of an evaluation of 30 rows, one of whose members is hostile."""

    def hostile(prompt: Prompt) -> str:
        return f"{said(prompt)} {HOSTILE}"

    suite = load_suite(harbour, f"title = 'Boats & <b>buoys</b> {HOSTILE.replace(chr(39), '')}'\n" + many_rows(30))
    evaluation = Evaluation(suite, tmp_path / "out", command="consilium eval run '<x>'")
    await graded(evaluation, open_suite(suite, replies={"mate": hostile}))
    return tmp_path / "out"


def test_the_page_is_one_file_that_loads_nothing(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    resources = Resources()
    resources.feed(page)
    assert resources.loaded
    assert all(loaded.startswith("data:image/svg+xml;base64,") for loaded in resources.loaded)
    assert len(resources.loaded) == 3
    assert not resources.tags & {"script", "link", "iframe", "object", "b-"}
    assert not re.search(r"(?:url\(|@import)", page)
    assert "default-src 'none'" in page
    assert "&lt;script src=" in page


def test_all_three_say_the_same(folder: Path) -> None:
    found = json.loads((folder / "report.json").read_text())
    sentences = [verdict["sentence"] for verdict in found["verdicts"]]
    for text in ((folder / "report.html").read_text(), (folder / "report.md").read_text()):
        assert all(sentence in text for sentence in sentences)
    assert [sentence.split(": ")[0] for sentence in sentences] == [
        f"council {MINUS} {label}"
        for label in ("router", "base", f"base {TIMES}k", f"best member {TIMES}k", "random seats", "oracle (hindsight)")
    ]
    assert sentences[3] == f"council {MINUS} best member {TIMES}k: +0.0 [0.0, 0.0], not shown to help"
    assert found["verdicts"][2]["shown"] == "shown to help"
    assert found["verdicts"][5]["difference"] == pytest.approx(found["arms"]["council"]["score"] - 2 / 3)
    assert found["best_member"] == "pilot"
    assert found["arms"]["council"]["completion_tokens"] == found["arms"]["best_vote"]["completion_tokens"] + len(
        HOSTILE.split()
    )


def test_figures_are_those_of_the_grades(folder: Path) -> None:
    found = json.loads((folder / "report.json").read_text())
    grades = [json.loads(line) for line in (folder / "grades.jsonl").read_text().splitlines()]
    for arm, figures in found["arms"].items():
        own = [grade for grade in grades if grade["arm"] == arm]
        assert len(own) == found["rows"] == 30
        assert figures["score"] == pytest.approx(sum(grade["score"] for grade in own) / 30)
        assert figures["tokens"] == pytest.approx(
            sum(grade["prompt_tokens"] + grade["completion_tokens"] for grade in own) / 30
        )
    confusion = found["confusion"]
    assert confusion["members"] == ["pilot"]  # the router always chooses it, and nobody else is ever right
    assert confusion["best_by_chosen"] == [[20]]
    assert {member["member"]: member["seated"] for member in found["members"]} == {"pilot": 30, "mate": 30, "clerk": 0}
    for picture in ("costs.svg", "members.svg", "confusion.svg"):
        assert (folder / picture).stat().st_size > 1_000
        assert f"({picture})" in (folder / "report.md").read_text()


async def test_a_suite_without_router_or_best_member_has_a_report_too(harbour: Path, tmp_path: Path) -> None:
    suite = load_suite(harbour, 'arms = ["pilot", "base"]\n' + many_rows(20))
    await graded(Evaluation(suite, tmp_path / "out"), open_suite(suite))
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [verdict["sentence"].split(":")[0] for verdict in found["verdicts"]] == [f"pilot {MINUS} base"]
    assert (found["confusion"], found["members"]) == (None, [])
