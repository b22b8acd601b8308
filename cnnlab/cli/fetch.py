"""`cnnlab data fetch`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnlab.cli.arguments import Json

if TYPE_CHECKING:
    from cnnlab.data.fetch.events import Done, Progress


def fetch(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A data set, such as mnist; see --list.")] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Where it goes; default: data/NAME in this folder.")
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List the data sets, and download nothing.")] = False,
    json: Json = False,
) -> None:
    """Download a public data set.

    From its publisher or a mirror, held against its published checksum, and unpacked. Whatever stops it, the same
    command goes on. Prints the lines that a spec's data needs. No other command touches the network.
    """
    from cnnlab.data import fetch as fetching
    from cnnlab.data.fetch.addresses import DATASETS
    from cnnlab.errors import DataError

    if show_list:
        if name is not None or to is not None:
            raise DataError("fetch: --list stands alone", hint="leave NAME and --to out, or --list")
        _list(json)
        return
    if name is None:
        raise DataError("fetch: no data set named", hint=f"there are {', '.join(DATASETS)}")
    name = fetching.find(name)
    folder = (Path("data") / name if to is None else to.expanduser()).absolute()
    _show(_run(name, folder), name, json)


def _run(name: str, folder: Path) -> "Done":
    """Fetches; title, licence and homepage come first, on stderr."""
    from rich.text import Text

    from cnnlab.cli import render
    from cnnlab.data import fetch as fetching
    from cnnlab.data.fetch.addresses import DATASETS
    from cnnlab.data.fetch.events import Done, Note
    from cnnlab.errors import Interrupted

    published, console = DATASETS[name], render.stderr()
    console.print(Text(f"{name}: {published.title}", style="bold"))
    console.print(Text(f"licence: {published.licence}\nhomepage: {published.homepage}"))
    done = Done(folder, {}, False)
    try:
        with _Bar() as bar:
            for event in fetching.fetch(name, folder):
                if isinstance(event, Note):
                    render.note(event.sentence)
                elif isinstance(event, Done):
                    done = event
                else:
                    bar.show(event)
    except KeyboardInterrupt:
        hint = "the same command goes on where it stopped"
        raise Interrupted("interrupted; what came is kept", signal_number=2, hint=hint) from None
    return done


class _Bar:
    """A live bar on a terminal, nothing elsewhere."""

    def __init__(self):
        self.bar: Any = None
        self.tasks: dict[tuple[str, str], Any] = {}

    def __enter__(self) -> "_Bar":
        if sys.stderr.isatty():
            from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
            from rich.progress import Progress as Bar

            from cnnlab.cli import render

            columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=None), DownloadColumn())
            columns += (TransferSpeedColumn(), TimeRemainingColumn())
            self.bar = Bar(*columns, console=render.stderr(), transient=True, expand=True)
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, event: "Progress") -> None:
        if self.bar is None:
            return
        key = (event.what, event.work)
        if key not in self.tasks:
            for task in self.tasks.values():
                self.bar.update(task, visible=False)
            self.tasks[key] = self.bar.add_task(f"{event.work} {event.what}", total=event.total)
        self.bar.update(self.tasks[key], completed=event.done, total=event.total)


def _show(done: "Done", name: str, json: bool) -> None:
    """What was fetched on stderr, and the lines of the spec on stdout."""
    from rich.text import Text

    from cnnlab.cli import render
    from cnnlab.data.fetch.addresses import DATASETS
    from cnnlab.spec.dump import quoted

    source = DATASETS[name].data(done.folder)
    if json:
        render.document({"name": name, "folder": str(done.folder), "files": done.files, "data": source})
        return
    told = "fetched to" if done.fetched else "is there already, in"
    counted = f"{len(done.files)} file" + "s" * (len(done.files) > 1)
    render.stderr().print(Text(f"{told} {done.folder}; {counted} with the published checksum"))
    lines = [f"  {key}: {quoted(value) if isinstance(value, str) else value}\n" for key, value in source.items()]
    render.text("".join(["data:\n", *lines]))


def _list(json: bool) -> None:
    from cnnlab.cli import render
    from cnnlab.data.fetch.addresses import DATASETS

    if json:
        render.document(
            {
                name: {
                    "title": published.title,
                    "licence": published.licence,
                    "homepage": published.homepage,
                    "download_bytes": published.download_bytes,
                    "disk_bytes": published.disk_bytes,
                }
                for name, published in DATASETS.items()
            }
        )
        return
    rows = [
        [name, published.title, f"{published.download_bytes / 1e6:,.0f} MB", f"{published.disk_bytes / 1e6:,.0f} MB"]
        for name, published in DATASETS.items()
    ]
    table = render.table(("name", "what", "download", "on disk"), rows, left=2)
    render.show(render.console_for(sys.stdout), table)
