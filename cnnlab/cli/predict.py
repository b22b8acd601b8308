"""`cnnlab predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cnnlab.cli.arguments import Checkpoint, Json

if TYPE_CHECKING:
    from cnnlab.runs.directory import Run
    from cnnlab.runs.predictor import Predictor


def predict(
    paths: Annotated[list[Path], typer.Argument(metavar="[RUN] FILE...", help="Images, .npy or .npz arrays (x).")],
    weights: Annotated[Path | None, typer.Option("--weights", help="A weights file, instead of a run.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Its network; else as the weights say.")] = None,
    output: Annotated[
        Literal["logits", "probabilities", "features", "reconstruction", "code"] | None,
        typer.Option("--output", help="All values of each example; features are what the head is given."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("-o", help="An .npz file for them; of a segmentation also a folder for its masks.")
    ] = None,
    size: Annotated[
        Literal["run", "original"] | None,
        typer.Option(
            "--size",
            help="What a segmentation sees of an image: all of it, resized as in the run's evaluation (run; the "
            "default where the spec has resize), or at its own size (original). Masks have the image's size anyway.",
        ),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            "--tile",
            min=1,
            help="Cut it into tiles of so many pixels, or the next size that the network takes; default: where memory "
            "asks for it.",
        ),
    ] = None,
    overlap: Annotated[
        int | None,
        typer.Option("--overlap", min=0, help="Pixels that tiles share; default: what the receptive field asks for."),
    ] = None,
    overlays: Annotated[bool, typer.Option("--overlays", help="Draw masks over images too, in -o/overlays.")] = False,
    head: Annotated[
        str | None, typer.Option("--head", metavar="NAME", help="Of several heads this one, as if it were alone.")
    ] = None,
    checkpoint: Checkpoint = "best",
    json: Json = False,
) -> None:
    """Print class and probability of files, as CSV; of autoencoders the error; of several heads what each says.

    With a run, images and arrays go through the run's preprocessing. With --weights images go through that of the
    weights, arrays as they are (uint8 counts as pixels). Of a segmentation the share of each class is printed, and
    -o FOLDER has a PNG of class ids for each image, in its size and orientation; so too of the head that segments.
    """
    from cnnlab.cli.process import prepare

    prepare()
    from cnnlab.errors import SpecError
    from cnnlab.report.answers import check_name
    from cnnlab.runs.directory import open_run
    from cnnlab.runs.maps import segmenting
    from cnnlab.runs.predictor import of_run, of_weights

    given = {"--size": size, "--tile": tile, "--overlap": overlap, "--overlays": overlays or None}
    asked = [option for option, value in given.items() if value is not None]
    if weights is None:
        if model is not None:
            raise SpecError("--model needs --weights", hint="or name a run: cnnlab predict RUN FILE...")
        run, paths = open_run(paths[0]), paths[1:]
        if not paths:
            raise SpecError("predict what?", hint="name images, .npy or .npz files")
        predictor = of_run(run, checkpoint, head)
        wanted = predictor.task.name != "heads" or file is not None or asked  # type: ignore[union-attr]
        if output is None and wanted and not _npz(file) and (mapping := segmenting(run, checkpoint, predictor)):
            if overlays and file is None:
                raise SpecError("overlays are written to a folder", where="--overlays", hint="name one with -o FOLDER")
            others = None if mapping is predictor else predictor
            how = {"size": size, "tile": tile, "overlap": overlap}
            return _masks(run, mapping, others, paths, file, json, overlays, how)
    elif head is not None:
        raise SpecError("is of a run with several heads", where="--head", hint="name the run in place of --weights")
    else:
        predictor = of_weights(weights, model)
    if file is not None:
        check_name(file)
    if asked:
        hint = "leave it out, or --output and -o answers.npz"
        raise SpecError("is for the masks of a run whose task is segmentation", where=asked[0], hint=hint)
    return _answers(predictor, paths, output, file, json)


def _npz(file: Path | None) -> bool:
    return file is not None and file.suffix == ".npz"


def _answers(predictor: "Predictor", paths: list[Path], output: Any, file: Path | None, json: bool) -> None:
    """One row an example, or all values."""
    from cnnlab.cli import render
    from cnnlab.report.answers import document, left_out, rows, save
    from cnnlab.runs import prediction

    found = prediction.predict(predictor, paths, output or predictor.output)
    for note in found.notes:
        render.note(note)
    if file is not None:
        save(file, found, output or predictor.output)
        if json:
            render.document({"file": str(file), "examples": len(found.files)})
        else:
            render.text(f"{file}\n")
        return
    for name in () if json and output is not None else left_out(found, output):
        masks = "; -o FOLDER writes masks" if output is None else ""
        render.note(f"{name} gives a map for every example, which -o answers.npz writes{masks}")
    if json:
        render.document(document(found, output))
    else:
        render.text(rows(found, output))


def _masks(
    run: "Run",
    predictor: "Predictor",
    whole: "Predictor | None",
    paths: list[Path],
    folder: Path | None,
    json: bool,
    overlays: bool,
    how: dict[str, Any],
) -> None:
    """One row an example with the share of each class; the masks themselves go to the folder.

    `whole`: the network with all of its heads, where the masks are of one of them and the others are to be heard too.
    """
    from cnnlab.cli import render
    from cnnlab.cli.looking import looking
    from cnnlab.report import masks
    from cnnlab.runs.maps import Mapper
    from cnnlab.runs.prediction import predict

    if folder is not None:
        masks.check_folder(folder, paths)
    mapper, classes = Mapper(run, predictor, **how), predictor.classes
    found = mapper.predict(paths)
    several = whole is not None and len(whole.classes) > 1
    others = predict(whole, paths, whole.output) if whole is not None and several else None
    with looking():
        if folder is None:
            rows = [masks.row(each, classes) for each in found]
        else:
            rows = masks.written(found, classes, folder, overlays=overlays)
    for note in mapper.notes:
        render.note(note)
    head = predictor.head or ""
    text = masks.rows_csv(rows, classes) if whole is None else masks.beside(rows, classes, head, others)
    if folder is not None:
        masks.write_shares(folder, text)
    if json:
        render.document(rows if whole is None else masks.beside_document(rows, head, others))
    else:
        render.text(text)
