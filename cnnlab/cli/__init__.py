"""The command line: one command, one file, a line each in the table below."""

import atexit
import os
import sys
from typing import Annotated

import typer

from cnnlab import __version__
from cnnlab.cli import (
    bench,
    check,
    compress,
    data,
    doctor,
    evaluate,
    init,
    listing,
    lr_find,
    predict,
    receptive_field,
    schema,
    summary,
    train,
    weights,
)
from cnnlab.cli.arguments import with_value
from cnnlab.cli.process import open_streams
from cnnlab.errors import CnnlabError

COMMANDS = {
    "train": train.train,
    "eval": evaluate.evaluate,
    "receptive-field": receptive_field.receptive_field,
    "check": check.check,
    "summary": summary.summary,
    "predict": predict.predict,
    "import-weights": weights.import_weights,
    "export-weights": weights.export_weights,
    "compress": compress.compress,
    "bench": bench.bench,
    "lr-find": lr_find.lr_find,
    "doctor": doctor.doctor,
    "list": listing.list_names,
    "schema": schema.schema,
    "init": init.init,
}

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
app.add_typer(data.app, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cnnlab {__version__}")
        raise typer.Exit


@app.callback()
def _cnnlab(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")] = False,
) -> None:
    """Run experiments with convolutional networks: one YAML file in, a trained network and its tables out."""


def command() -> None:
    """`cnnlab` as a process: `main`, and then an end at once, with all that is to be done at an exit.

    Python itself would take apart what JAX has made first, 0.7 of the demo's 6.6 seconds.
    """
    try:
        main()
    except SystemExit as ended:
        atexit._run_exitfuncs()
        os._exit(int(ended.code or 0))


def main() -> None:
    """The command line: errors as a sentence on stderr, exit codes by the contract."""
    open_streams()
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        try:
            app(with_value(arguments, "--effective", "32"), prog_name="cnnlab")
        finally:
            sys.stdout.flush()  # where the reader is gone, this is where it shows
    except CnnlabError as error:
        if debug:
            raise
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `cnnlab ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        print(_failure(error), file=sys.stderr)
        sys.exit(1)


def _failure(error: Exception) -> str:
    """The sentence for work that failed, as against input that is wrong."""
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return "out of memory; try a smaller data.batch_size or data.resize"
    if isinstance(error, OSError):
        return (
            f"{error.filename or 'the system'}: {error.strerror or error}; free or fix that, then go on with --resume"
        )
    first = str(error).strip().partition("\n")[0]
    return f"a fault in cnnlab itself: {type(error).__name__}: {first}; please report it with what --debug prints"
