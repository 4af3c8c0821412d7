"""The command line: every command, and how errors end."""

import sys
from typing import Annotated

import typer

import consilium
from consilium.cli.asking import ASK_EXAMPLES, CHAT_EXAMPLES, ROUTE_EXAMPLES, ask, chat, route
from consilium.cli.batch import batch_app
from consilium.cli.consoles import aside
from consilium.cli.doctor import DOCTOR_EXAMPLES, doctor
from consilium.cli.engine import engine_app
from consilium.cli.evaluating import eval_app
from consilium.cli.ledger import ledger_app, outcome_app
from consilium.cli.members import members_app
from consilium.cli.play import PLAY_EXAMPLES, play
from consilium.cli.rendering import clean
from consilium.cli.reporting import REPORT_EXAMPLES, report
from consilium.cli.routers import POLICY_EXAMPLES, eval_policy, router_app
from consilium.cli.routing import TRAIN_EXAMPLES, train_router
from consilium.cli.suites import SUITE_EXAMPLES, eval_run
from consilium.cli.training import train_app
from consilium.cli.trying import EVAL_EXAMPLES, eval_router
from consilium.errors import ConsiliumError

app = typer.Typer(
    help="A council of LoRA experts over one base model: routed, batched, deliberated, recorded.",
    epilog="Exit codes: 0 done; 1 the council failed; 2 something in the input or the surroundings is to be mended.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command(epilog=ASK_EXAMPLES)(ask)
app.command(epilog=CHAT_EXAMPLES)(chat)
app.command(epilog=ROUTE_EXAMPLES)(route)
app.command(epilog=PLAY_EXAMPLES)(play)
train_app.command("router", epilog=TRAIN_EXAMPLES)(train_router)
eval_app.command("router", epilog=EVAL_EXAMPLES)(eval_router)
eval_app.command("run", epilog=SUITE_EXAMPLES)(eval_run)
eval_app.command("policy", epilog=POLICY_EXAMPLES)(eval_policy)
app.command(epilog=REPORT_EXAMPLES)(report)
app.add_typer(router_app, name="router")
app.add_typer(batch_app, name="batch")
app.add_typer(members_app, name="members")
app.add_typer(train_app, name="train")
app.add_typer(eval_app, name="eval")
app.add_typer(outcome_app, name="outcome")
app.add_typer(ledger_app, name="ledger")
app.add_typer(engine_app, name="engine")
app.command(epilog=DOCTOR_EXAMPLES)(doctor)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"consilium {consilium.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Take the options that belong to no command."""


def main() -> None:
    """Run the command line; an error of ours is one line and an exit code, not a traceback."""
    try:
        app()
    except ConsiliumError as error:
        aside().print(f"error: {clean(str(error))}", markup=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
