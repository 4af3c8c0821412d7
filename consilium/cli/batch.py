"""consilium batch: thousands of rows through the council, to be cut off and gone on with at any time."""

import asyncio
import json
import signal
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from consilium.cli.consoles import aside, out, provisioning
from consilium.cli.options import (
    AsJson,
    Database,
    Deadline,
    HowToConclude,
    MaxTokens,
    Personas,
    Seats,
    TokenBudget,
    examples,
    given,
)
from consilium.cli.places import writable
from consilium.cli.rendering import clean
from consilium.errors import BadSettings, JobError

if TYPE_CHECKING:
    from consilium.jobs.files import JobFiles, JobIndex
    from consilium.jobs.job import Job

batch_app = typer.Typer(help="Put the rows of a file through the council.", no_args_is_help=True)

OnExecutor = Annotated[
    str | None,
    typer.Option("--executor", help="local (this process) or ray (a cluster, by extra).", show_default="local"),
]
Workers = Annotated[int | None, typer.Option(min=1, help="On the Ray cluster.", show_default="2")]
RayAddress = Annotated[
    str | None, typer.Option(help="Of a Ray cluster that runs; else one is started here.", show_default=False)
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--map", help="FIELD=COLUMN for plain rows: message, custom_id, model; may be repeated."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many rows.", show_default=False)]
Sample = Annotated[int | None, typer.Option(min=1, help="Only so many, drawn by --seed.", show_default=False)]
StopAfter = Annotated[
    int | None, typer.Option(min=1, help="Begin no row once the job cost so many tokens.", show_default=False)
]
InParquet = Annotated[Path | None, typer.Option(help="Write all results here too, at the end.", show_default=False)]
Output = Annotated[Path, typer.Argument(help="The results of a job, as given to --output.")]


@batch_app.command(
    "run",
    epilog=examples(
        "batch run in.jsonl -o out.jsonl",
        "batch run questions.csv -o out.jsonl --map message=question --map custom_id=id --seats 1",
        "batch run in.jsonl -o out.jsonl --sample 200 --dry-run",
        "batch run in.jsonl -o out.jsonl --executor ray --workers 4",
        "batch run in.parquet -o out.jsonl --map message=text --stop-after-tokens 1000000 --parquet out.parquet",
    ),
)
def run(
    input_file: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Rows: .jsonl (OpenAI Batch or plain), .csv, .parquet.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Results are appended here, a line a row.")],
    columns: Columns = None,
    model: Annotated[str, typer.Option(help="Of rows that name none: council, router, or a member.")] = "council",
    seats: Seats = None,
    method: HowToConclude = None,
    max_tokens: MaxTokens = None,
    token_budget: TokenBudget = None,
    limit: Limit = None,
    sample: Sample = None,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    stop_after_tokens: StopAfter = None,
    broken: Annotated[
        str, typer.Option(help="Lines that cannot be read: stop (before anything is paid) or skip.")
    ] = "stop",
    concurrency: Annotated[int, typer.Option(min=1, max=4_096, help="Rows in hand at one time.")] = 64,
    parquet: InParquet = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Who would sit and what it costs at most; nobody speaks.")
    ] = False,
    executor: OnExecutor = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    deadline: Deadline = None,
    database: Database = None,
    personas: Personas = None,
    as_json: AsJson = False,
) -> None:
    """Answer every row of a file, each once and paid once, however often the command is cut off and run again.

    Rows are told by custom_id. An error of a row is its result; ^C finishes the rows in hand and stops.
    """
    if parquet is not None:
        from consilium.jobs.frames import import_pyarrow

        import_pyarrow()
        writable(parquet)
    where = given(executor=executor, workers=workers, ray_address=ray_address)
    job = _job(
        where | given(deadline_s=deadline, database=database, personas=personas),
        input=input_file,
        output=output,
        columns=_mapping(columns or []),
        model=model,
        options=given(seats=seats, method=method, max_tokens=max_tokens, token_budget=token_budget),
        broken=broken,
        limit=limit,
        sample=sample,
        seed=seed,
        token_budget=stop_after_tokens,
        concurrency=concurrency,
    )
    asyncio.run(_forecast(job, as_json) if dry_run else _run(job, as_json))
    if parquet is not None and not dry_run:
        from consilium.jobs.frames import write_parquet

        write_parquet(job.results(), parquet)


@batch_app.command("status", epilog=examples("batch status out.jsonl", "batch status out.jsonl --json"))
def status(output: Output, as_json: AsJson = False) -> None:
    """Say how far a job is, and what it cost."""
    files, index = _known(output)
    if index.status == "running" and not files.in_use:
        index = index.model_copy(update={"status": "stopped", "why": "its process has died; run it again"})
    _show(index, as_json)


@batch_app.command("retry", epilog=examples("batch retry out.jsonl"))
def retry(
    output: Output,
    executor: OnExecutor = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    deadline: Deadline = None,
    database: Database = None,
    personas: Personas = None,
    as_json: AsJson = False,
) -> None:
    """Ask the rows that failed anew, and go on with the job."""
    _, index = _known(output)
    where = given(executor=executor, workers=workers, ray_address=ray_address)
    job = _job(where | given(deadline_s=deadline, database=database, personas=personas), **index.spec)
    aside().print(f"{job.retry()} rows are asked anew")
    asyncio.run(_run(job, as_json))


@batch_app.command("cancel", epilog=examples("batch cancel out.jsonl"))
def cancel(output: Output) -> None:
    """Let a running job finish the rows in hand, and stop. Running it again goes on with it."""
    files, index = _known(output)
    if not files.in_use:
        raise JobError(f"{output} is of no job that runs; it is {index.status}. There is nothing to cancel.")
    files.cancel_file.touch()
    aside().print("the job stops once the rows in hand are done")


def _known(output: Path) -> "tuple[JobFiles, JobIndex]":
    from consilium.jobs.files import JobFiles

    files = JobFiles(output)
    if (index := files.read_index()) is None:
        raise JobError(f"{output} is of no job: {files.index_file} does not exist. Name what was given to --output.")
    return files, index


def _mapping(columns: list[str]) -> dict[str, str]:
    pairs = [column.partition("=") for column in columns]
    if wrong := ["".join(pair) for pair in pairs if not pair[0] or not pair[2]]:
        raise BadSettings(f"--map {wrong[0]!r} is not FIELD=COLUMN. Write e.g. --map message=question.")
    return {field: column for field, _, column in pairs}


def _job(settings: dict[str, Any], **spec: object) -> "Job":
    from pydantic import ValidationError

    from consilium.council.council import Council
    from consilium.jobs.executor import executor_of
    from consilium.jobs.job import Job

    with provisioning() as progress:
        council = Council.open(progress=progress, **settings)
    try:
        return Job(council, executor=executor_of(council.parts.settings), **spec)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise BadSettings(f"{where}={fault['input']!r}: {fault['msg']}. Correct the call.") from error


async def _run(job: "Job", as_json: bool) -> None:
    """Run with a bar; ^C drains, a second one leaves the rows in hand to the next run."""
    running = asyncio.current_task()
    assert running is not None  # noqa: S101 -- inside a coroutine there is one

    def interrupted() -> None:
        if job.is_draining:
            running.cancel()
        aside().print("finishing the rows in hand; ^C again leaves them to the next run")
        job.drain()

    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupted)
    bar = _bar()
    try:
        with bar, redirect_stdout(sys.stderr):  # where Ray tells of what it replaces
            task = bar.add_task("", total=None, tokens=0, rows=0, rate=0.0)
            async for _ in job.run():
                if (index := job.index) is not None:
                    tokens = index.prompt_tokens + index.completion_tokens
                    rate = bar.tasks[task].speed or 0.0
                    bar.update(task, completed=index.done, total=index.rows, tokens=tokens, rows=index.rows, rate=rate)
    except asyncio.CancelledError as error:
        raise KeyboardInterrupt from error
    if (index := job.index) is None:
        return
    _show(index, as_json)
    if index.why == "interrupted":
        raise KeyboardInterrupt


async def _forecast(job: "Job", as_json: bool) -> None:
    rows = prompts = most = 0
    async for forecast in job.forecast():
        rows, prompts, most = rows + 1, prompts + forecast.prompt_tokens, most + forecast.most_completion_tokens
        if not as_json:
            out().print(f"{clean(forecast.custom_id)}  {', '.join(forecast.members)}", markup=False)
    if as_json:
        typer.echo(json.dumps({"rows": rows, "prompt_tokens": prompts, "most_completion_tokens": most}))
    else:
        out().print(f"{rows:,} rows, {prompts:,} prompt tokens, at most {most:,} spoken; nothing was asked")


def _bar() -> Progress:
    return Progress(
        BarColumn(),
        TextColumn(
            "{task.completed:,.0f}/{task.fields[rows]:,} rows  "
            "{task.fields[rate]:.1f}/s  {task.fields[tokens]:,} tokens"
        ),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=aside(),
    )


def _show(index: "JobIndex", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({k: v for k, v in index.model_dump(mode="json").items() if k != "spec"}))
        return
    why = f" ({index.why})" if index.why else ""
    tokens = index.prompt_tokens + index.completion_tokens
    out().print(
        f"{index.status}{why}: {index.done:,} of {index.rows:,} rows, {index.failed:,} failed, {tokens:,} tokens, "
        f"{index.seconds:.1f} s",
        markup=False,
    )
