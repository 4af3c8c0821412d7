"""The report of an evaluation: one HTML file that needs nothing else, Markdown with its pictures, and JSON."""

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from consilium.errors import JobError
from consilium.evaluation.bootstrap import Interval
from consilium.evaluation.comparison import TIMES, Gain, points
from consilium.evaluation.markdown import percent, table
from consilium.evaluation.remembering import Paid
from consilium.members.files import write_together
from consilium.suites.findings import Findings, MetricFigures
from consilium.suites.pictures import draw_confusion, draw_costs, draw_members
from consilium.suites.suite_file import BEST_VOTE, ORACLE

SHOWN_ROWS = 40
"""Rows whose answers the HTML shows in full."""

HOW_TO_READ = """\
Scores are points of 100, the mean over the rows on which an arm has one; in brackets the 95 % interval, rows drawn with
replacement (bootstrap), in pairs where two arms are compared, each comparison for itself. An error of a member, a
metric or a judge is no score: it is counted, and its row is left out of the comparisons of that arm. Tokens are those
of all prompts and statements of a row; seconds are those of its slowest statement, made beside others. Arms with *k*
are heard as often as the council was for the same row."""
HINDSIGHT = {
    BEST_VOTE: "The best member was chosen by these same rows, which favours that control.",
    ORACLE: "The oracle takes for each row the member that turned out best: the most that routing to one can earn.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture of the report."""

    name: str
    caption: str
    draw: Callable[[Path], None]


def write_report(findings: Findings, paid: Paid, folder: Path, *, command: str = "") -> None:
    """Write ``report.html``, ``report.md`` with its pictures, ``report.json`` and ``grades.jsonl``.

    Raises:
        JobError: the folder takes no more.
        MissingExtra: matplotlib is not installed.
    """
    try:
        drawn = _pictures(findings)
        for picture in drawn:
            picture.draw(folder / picture.name)
        places = {case.id: place for place, case in enumerate(findings.cases)}
        grades = sorted(findings.grades.values(), key=lambda grade: (places[grade.case], grade.arm))
        lines = (json.dumps(asdict(grade), ensure_ascii=False) for grade in grades)
        figures = report_figures(findings, paid, command=command)
        write_together(
            {
                folder / "grades.jsonl": "".join(f"{line}\n" for line in lines).encode(),
                folder / "report.json": (json.dumps(figures, ensure_ascii=False, indent=1) + "\n").encode(),
                folder / "report.md": markdown_page(findings, paid, drawn, command=command).encode(),
                folder / "report.html": html_page(findings, paid, drawn, folder, command=command).encode(),
            }
        )
    except OSError as error:
        raise JobError(
            f"{folder} takes no report: {error.strerror or error}. Make room, and run the same command again: what was "
            "answered is kept."
        ) from error


def report_figures(findings: Findings, paid: Paid, *, command: str = "") -> dict[str, Any]:
    """Return all figures, as ``report.json`` and ``--json`` have them; scores are shares of 1."""
    confusion = findings.confusion()
    return {
        "title": findings.suite.file.title,
        "command": command,
        "rows": len(findings.cases),
        "seed": findings.seed,
        "engine": findings.engine.name,
        "base": findings.engine.base,
        "best_member": findings.best,
        "verdicts": [_gain(findings, gain) for gain in findings.gains()],
        "arms": {arm: _arm(findings, arm) for arm in findings.arms},
        "parts": {
            part: {metric: {arm: asdict(found) for arm, found in arms.items()} for metric, arms in metrics.items()}
            for part, metrics in findings.parts().items()
        },
        "members": [asdict(member) for member in findings.members()],
        "confusion": confusion and {"members": confusion[0], "best_by_chosen": confusion[1]},
        "pairs": [_gain(findings, gain) for gain in findings.pairs()],
        "paid": asdict(paid),
    }


def markdown_page(findings: Findings, paid: Paid, pictures: list[Picture], *, command: str = "") -> str:
    """Return the report as Markdown; pictures lie beside it."""
    parts = [
        f"# {findings.suite.file.title}",
        *([findings.suite.file.description] if findings.suite.file.description else []),
        *([f"```\n{command}\n```"] if command else []),
        _made(findings, paid),
        "## Verdicts",
        "\n".join(f"* {gain.sentence(findings.labels)}" for gain in findings.gains()),
        " ".join(notes(findings)),
        "## Arms",
        HOW_TO_READ,
        *(table(*each) for each in (arms_table(findings), parts_table(findings))),
        *(["## Members", table(*members_table(findings))] if findings.alone else []),
        "## Each arm against each other",
        table(*pairs_table(findings)),
        *(f"![{picture.caption}]({picture.name})" for picture in pictures),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def html_page(findings: Findings, paid: Paid, pictures: list[Picture], folder: Path, *, command: str = "") -> str:
    """Return the report as one page that loads nothing; the pictures are read from ``folder``."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    surroundings = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    embedded = [
        (picture.caption, b64encode((folder / picture.name).read_bytes()).decode("ascii")) for picture in pictures
    ]
    tables = {"Arms": arms_table(findings), "Parts and metrics": parts_table(findings)}
    if findings.alone:
        tables["Members"] = members_table(findings)
    tables["Each arm against each other"] = pairs_table(findings)
    return surroundings.get_template("report.html.jinja").render(
        findings=findings,
        command=command,
        made=_made(findings, paid),
        gains=[(gain.sentence(findings.labels), gain.shown) for gain in findings.gains()],
        notes=[*notes(findings), HOW_TO_READ],
        tables=tables,
        pictures=embedded,
        cases=findings.cases[:SHOWN_ROWS],
    )


def notes(findings: Findings) -> list[str]:
    """Return what has to be said beside the verdicts."""
    best = [f"Best member: {findings.best}."] if findings.best else []
    return [*best, *(said for arm, said in HINDSIGHT.items() if arm in findings.arms)]


def arms_table(findings: Findings) -> tuple[list[str], list[list[str]]]:
    """Return the head and the lines of the table of arms."""
    head = [
        "arm",
        "score",
        "errors",
        "statements",
        "prompt tokens",
        "completion tokens",
        "tokens to the first",
        "seconds",
    ]
    first = findings.figures(findings.arms[0]).tokens
    lines = []
    for arm in findings.arms:
        found = findings.figures(arm)
        cost = f"{found.tokens / first:.2f} {TIMES}" if first else ""
        tokens = (f"{found.prompt_tokens:.1f}", f"{found.completion_tokens:.1f}", cost, f"{found.seconds:.2f}")
        lines.append(
            [findings.labels[arm], _mean(found.score), _errors(found.errors), f"{found.statements:.2f}", *tokens]
        )
    return head, lines


def parts_table(findings: Findings) -> tuple[list[str], list[list[str]]]:
    """Return the head and the lines of the table of parts and their metrics, the score of each first."""
    lines = [
        [f"{part}: {metric}", *(_metric(found) for found in arms.values())]
        for part, metrics in findings.parts().items()
        for metric, arms in metrics.items()
    ]
    return ["rows: metric", *(findings.labels[arm] for arm in findings.arms)], lines


def members_table(findings: Findings) -> tuple[list[str], list[list[str]]]:
    """Return the head and the lines of the table of members."""
    lines = [
        [each.member, _mean(each.score), _errors(each.errors), str(each.best), str(each.routed), str(each.seated)]
        for each in findings.members()
    ]
    return ["member alone", "score", "errors", "rows it was best on", "router's choice", "in council"], lines


def pairs_table(findings: Findings) -> tuple[list[str], list[list[str]]]:
    """Return the head and the lines of the table of all comparisons."""
    lines = [
        [f"{findings.labels[gain.above]} over {findings.labels[gain.below]}", points(gain.interval), str(gain.pairs)]
        for gain in findings.pairs()
    ]
    return ["arms", "difference", "rows"], lines


def _pictures(findings: Findings) -> list[Picture]:
    found = [Picture(name="costs.svg", caption="Score against tokens a row", draw=partial(draw_costs, findings))]
    if findings.alone:
        caption = "Members alone, and how often each was wanted"
        found.append(Picture(name="members.svg", caption=caption, draw=partial(draw_members, findings)))
    if confusion := findings.confusion():
        caption = "The router's choice against the best member"
        found.append(Picture(name="confusion.svg", caption=caption, draw=partial(draw_confusion, *confusion)))
    return found


def _made(findings: Findings, paid: Paid) -> str:
    return (
        f"{len(findings.cases):,} rows, {len(findings.arms)} arms; {findings.engine.name} engine, "
        f"{findings.engine.base}; seed {findings.seed}. {paid.statements:,} statements were paid for, {paid.tokens:,} "
        "tokens in all."
    )


def _arm(findings: Findings, arm: str) -> dict[str, Any]:
    found = findings.figures(arm)
    score = found.score
    return {
        "label": findings.labels[arm],
        "score": score and score.difference,
        "low": score and score.low,
        "high": score and score.high,
        **{name: value for name, value in asdict(found).items() if name not in ("arm", "score")},
        "tokens": found.tokens,
    }


def _gain(findings: Findings, gain: Gain) -> dict[str, Any]:
    interval = gain.interval
    return {
        "above": gain.above,
        "below": gain.below,
        "difference": interval and interval.difference,
        "low": interval and interval.low,
        "high": interval and interval.high,
        "rows": gain.pairs,
        "shown": gain.shown,
        "sentence": gain.sentence(findings.labels),
    }


def _mean(found: Interval | None) -> str:
    return f"{percent(found.difference)} [{percent(found.low)}, {percent(found.high)}]" if found else "ERROR"


def _metric(found: MetricFigures) -> str:
    if found.mean is None:
        return "ERROR"
    return percent(found.mean) + (f" ({found.errors} ERROR)" if found.errors else "")


def _errors(count: int) -> str:
    return f"{count} ERROR" if count else "0"
