"""consilium eval run: a suite's arms beside each other, on the same rows and at the same price."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from consilium.cli.consoles import aside, out, provisioning
from consilium.cli.evaluating import bar_of, command_line
from consilium.cli.options import AsJson, Personas, examples, given
from consilium.cli.rendering import clean
from consilium.cli.running import run
from consilium.errors import BadSuite

if TYPE_CHECKING:
    from consilium.council.council import Council
    from consilium.evaluation.comparison import Shown
    from consilium.suites.evaluation import Evaluation
    from consilium.suites.findings import Findings

SUITE_EXAMPLES = examples(
    "eval run --list",
    "eval run desks",
    "eval run my.suite.toml --output results/my --sample 200 --dry-run",
    "eval run my.suite.toml --output results/my --stop-after-tokens 1000000 --json",
)


def eval_run(
    suite: Annotated[str | None, typer.Argument(help="A .toml suite, or the name of a shipped one.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder of the report and of all statements; run again, it goes on from there.",
            show_default="storage/evaluation/NAME",
        ),
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Only so many rows, drawn by the seed.", show_default=False)
    ] = None,
    stop_after_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Begin no statement once those in the folder cost so many.", show_default=False),
    ] = None,
    at_once: Annotated[int, typer.Option(min=1, max=4_096, help="Statements asked for at one time.")] = 32,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="What each arm would cost at most; nobody speaks.")
    ] = False,
    show_list: Annotated[bool, typer.Option("--list", help="List the suites that come with the package.")] = False,
    personas: Personas = None,
    as_json: AsJson = False,
) -> None:
    """Compare the council with its controls: one member, the base, and both at the council's price.

    Writes report.html (one file, for which no network is needed), report.md, report.json and grades.jsonl. What is cut
    off goes on where it was; a statement is paid once, whichever arms need it. Ends with 1 where the budget ran out,
    which leaves no report.
    """
    from consilium.members.catalogue import Catalogue
    from consilium.settings import Settings
    from consilium.suites.evaluation import Evaluation
    from consilium.suites.suite import Suite

    if show_list:
        return _list()
    if suite is None:
        raise BadSuite("no suite is named. Give a file, or one of: consilium eval run --list.")
    catalogue = Catalogue.load(Settings.load(**given(personas=personas)).personas)
    loaded = Suite.load(suite, catalogue=catalogue)
    folder = output or Path("storage/evaluation") / loaded.name
    evaluation = Evaluation(
        loaded, folder, sample=sample, token_budget=stop_after_tokens, at_once=at_once, command=command_line()
    )
    if not dry_run:
        evaluation.prepare()
    with provisioning() as progress:
        council = loaded.open(progress=progress, **given(personas=personas))
    if dry_run:
        return run(_forecast(evaluation, council, as_json))
    run(_run(evaluation, council))
    _show(evaluation, as_json)


def _list() -> None:
    from consilium.suites.suite import SUFFIX, read_suite_file, shipped_suites

    for path in shipped_suites():
        file, _ = read_suite_file(path)
        about = f"{file.title}. {file.description or ''}"
        out().print(f"{path.name.removesuffix(SUFFIX):<12} {about}", markup=False)


async def _run(evaluation: "Evaluation", council: "Council") -> None:
    bar = bar_of("evaluating")
    with bar:
        task = bar.add_task("grades", total=evaluation.expected)
        async for _ in evaluation.run(council):
            paid = evaluation.paid
            bar.update(task, advance=1, description=f"grades  {paid.tokens:,} tokens paid for")


async def _forecast(evaluation: "Evaluation", council: "Council", as_json: bool) -> None:
    found = await evaluation.forecast(council)
    statements, prompts, most = (
        sum(getattr(arm, field) for arm in found) for field in ("statements", "prompt_tokens", "most_completion_tokens")
    )
    if as_json:
        total = {"rows": evaluation.rows, "statements": statements, "prompt_tokens": prompts}
        typer.echo(json.dumps({**total, "most_completion_tokens": most}))
        return
    table = Table("arm", box=None)
    for column in ("statements", "prompt tokens", "spoken at most"):
        table.add_column(column, justify="right")
    for arm in found:
        table.add_row(arm.arm, f"{arm.statements:,}", f"{arm.prompt_tokens:,}", f"{arm.most_completion_tokens:,}")
    out().print(table)
    out().print(
        f"{evaluation.rows:,} rows, {statements:,} statements that no other arm pays for and that are not there yet, "
        f"{prompts:,} prompt tokens, at most {most:,} spoken; nothing was asked"
    )


def _show(evaluation: "Evaluation", as_json: bool) -> None:
    from consilium.suites.report import report_figures

    if evaluation.findings is None:
        if as_json:
            typer.echo(json.dumps({"status": "stopped", "why": evaluation.stopped}))
        aside().print(f"stopped: {evaluation.stopped}; what was paid for is kept. Allow more, or a smaller sample.")
        raise typer.Exit(1)
    if as_json:
        figures = report_figures(evaluation.findings, evaluation.paid, command=command_line())
        typer.echo(json.dumps({"status": "finished", "report": str(evaluation.output / "report.html"), **figures}))
        return
    _print(evaluation.findings)
    out().print(f"report   {evaluation.output / 'report.html'}", markup=False)


def _print(findings: "Findings") -> None:
    from consilium.evaluation.markdown import percent
    from consilium.suites.report import notes

    colours: dict[Shown, str] = {"shown to help": "green", "shown to harm": "red"}
    table = Table("arm", box=None, header_style="bold")
    for column in ("score", "95 %", "errors", "tokens", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    for arm in findings.arms:
        found = findings.figures(arm)
        score = found.score
        mean = (percent(score.difference), f"{percent(score.low)} to {percent(score.high)}") if score else ("ERROR", "")
        cost = (f"{found.tokens:,.1f}", f"{found.seconds:.2f}")
        table.add_row(findings.labels[arm], *mean, str(found.errors), *cost)
    out().print(table)
    for gain in findings.gains():
        sentence = escape(clean(gain.sentence(findings.labels)))
        colour = colours.get(gain.shown)
        out().print(f"[{colour}]{sentence}[/{colour}]" if colour else sentence)
    for note in notes(findings):
        out().print(note, markup=False)
