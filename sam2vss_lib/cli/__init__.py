"""The command line: every stage of the study on its own, and the study as a whole.

Exit codes: 0 done, 2 bad arguments or settings, 3 missing or bad data or weights, 4 a failed run,
130 Ctrl-C or a polite kill, as batch systems send it.
Heavy imports (torch, sam2, transformers) wait inside the commands, so that --help is instant.
"""

import os
import sys

if sys.excepthook is sys.__excepthook__:  # Ctrl-C while all that follows is imported
    sys.excepthook = lambda kind, error, trace: (
        os._exit(130) if kind is KeyboardInterrupt else sys.__excepthook__(kind, error, trace)
    )

import logging
import re
import signal
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from sam2vss_lib.cli import (
    apply,
    checkpoints,
    data,
    fusion,
    inference,
    predictions,
    stages,
    study,
    words,
)
from sam2vss_lib.errors import DataError, RunError, Sam2VssError, naming_extras

_INTERRUPTED = 130  # as shells have it: 128 and the number of the signal
_HOME = re.compile(r"(^|[=:])~(?=/|$)")  # as in --out=~/a, NAME:~/weights.pth


class _OneLineErrors(TyperGroup):
    """Turns errors raised on purpose into one line and their exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take options and arguments, with the home folder where the shell has left a tilde."""
        home = os.path.expanduser("~")
        return super().parse_args(ctx, [_HOME.sub(lambda m: m[1] + home, arg) for arg in args])

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            with naming_extras():
                return super().invoke(ctx)
        except Sam2VssError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("interrupted: what is finished is kept, the same command goes on", err=True)
            raise typer.Exit(_INTERRUPTED) from None
        except PermissionError as error:
            fault = f"{error.filename}: not readable ({error.strerror}); check its rights"
            typer.echo(f"error: {fault}", err=True)
            raise typer.Exit(DataError.exit_code) from None
        except (TyperException, typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if os.environ.get("SAM2VSS_DEBUG"):
                raise
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            typer.echo(f"error: {reason} (SAM2VSS_DEBUG=1 shows where)", err=True)
            raise typer.Exit(RunError.exit_code) from None


app = typer.Typer(
    cls=_OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="SAM2 for video semantic segmentation: masklets, refinement, metrics, and the study.",
)


@app.callback()
def _main(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done.")] = False,
) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # worker processes are ended, too
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(message)s")


app.command("doctor")(study.doctor)
app.command("apply")(apply.apply_command)
app.command("segment")(inference.segment_command)
app.command("masklets")(inference.masklets_command)
app.command("refine")(stages.refine_command)
app.command("evaluate")(stages.evaluate_command)
app.command("plan")(study.plan)
app.command("study")(study.study)
app.command("report")(study.report)
app.add_typer(data.app, name="data")
app.add_typer(checkpoints.app, name="checkpoints")
app.add_typer(predictions.app, name="predictions")
app.add_typer(fusion.app, name="fusion")
app.add_typer(words.app, name="words")
