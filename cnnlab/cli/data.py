"""`cnnlab data ...`: what is done with data before training; one command, one file, a line each in the table below."""

import typer

from cnnlab.cli import check_data, fetch, preview

COMMANDS = {
    "check": check_data.check_data,
    "fetch": fetch.fetch,
    "preview": preview.preview,
}

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Fetch data sets, check and look at data.")
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
