"""All of a spec's data looked at before training: what it is, and everything that is wrong with it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.data import SOURCES, coco, image_folder, table
from cnnlab.data.bad_files import without_bad_annotations
from cnnlab.data.boxes import BadAnnotation, classes_without, doubled
from cnnlab.data.check.duplicates import Duplicates
from cnnlab.data.check.files import Looked, look_at_all, strange_headers
from cnnlab.data.check.findings import Finding, ordered
from cnnlab.data.check.inspection import Examples, Inspection
from cnnlab.data.check.measures import joined, measure_all
from cnnlab.data.check.targets import wrong_targets
from cnnlab.data.dataset import Dataset, Target, check, find
from cnnlab.data.geometry import frame_of
from cnnlab.data.problems import Problem
from cnnlab.data.split import classes_missing, split
from cnnlab.data.subset import only_classes, take
from cnnlab.errors import CnnlabError, DataError
from cnnlab.spec.data import ImageFiles
from cnnlab.spec.schema import Data, NoData

# Sources of image files, that can list them without opening any.
LISTED: Mapping[str, Callable[[Any, Path, Problem], Dataset]] = {
    "image_folder": image_folder.listed,
    "coco": coco.listed,
    "csv": table.listed,
}


def inspect(data: Data, base: Path, seed: int) -> Inspection:
    """Looks at everything; `base` is the spec file's folder. Raises DataError only where the spec has no data."""
    if isinstance(data, NoData):
        raise DataError("the spec has no data", where="data", hint="give data.source; 'cnnlab list sources' shows all")
    findings: list[Finding] = []

    def problem(error: CnnlabError) -> None:
        what = f"{error.message}; {error.hint}" if error.hint else error.message
        if isinstance(error, BadAnnotation):
            words = f"{error.where}: {error.message}" if error.file else error.message
            findings.append(Finding(error.kind, error.file or error.where, what=words))
        else:
            findings.append(Finding("data", error.where, what=what))

    try:
        if isinstance(data, ImageFiles) and getattr(data, "features", None) is None:
            examples = _images(data, base, findings, problem)
        else:
            examples = _arrays(data, base, findings)
    except CnnlabError as error:
        problem(error)
        return Inspection(data.where, data.source, ordered(findings))
    if examples is None:
        return Inspection(data.where, data.source, ordered(findings))
    dataset = examples.dataset
    try:
        # What else training asks of its data; all values have been looked at, and need not be there for this.
        shape = (len(dataset.y), *dataset.x.shape[1:])
        checked = check(replace(dataset, x=np.broadcast_to(np.uint8(0), shape)), data.where)
        findings += [Finding("no_example", what=note) for note in checked.notes[len(dataset.notes) :]]
        examples = replace(examples, splits=split(dataset, data.split, seed))
        lacking = (*classes_missing(dataset, examples.splits), *classes_without(dataset, examples.splits))
        findings += [Finding("no_example", what=note) for note in lacking]
    except CnnlabError as error:
        problem(error)
    if dataset.x.ndim > 2:
        for i in np.flatnonzero(examples.measures.low == examples.measures.high).tolist():
            findings.append(Finding("constant", dataset.name(i), what=f"holds {examples.measures.low[i]:g} throughout"))
    for i, boxes in enumerate(dataset.targets["boxes"].values if "boxes" in dataset.targets else ()):
        if count := doubled(boxes):
            findings.append(Finding("box_twice", dataset.name(i), what=f"{count:,} of its boxes"))
    found = Duplicates(dataset, examples.splits, examples.measures)
    findings = [*_placed(findings, examples), *found.exact(), *found.alike()]
    notes = (
        dataset.notes if found.complete else (*dataset.notes, "not all pairs of images alike were looked at: too many")
    )
    return Inspection(data.where, data.source, ordered(findings), examples, tuple(found.leaks()), notes)


def _images(data: ImageFiles, base: Path, findings: list[Finding], problem: Problem) -> Examples | None:
    """Image files, one at a time: there may be more of them than fit into memory."""
    root = find(data.path, base)
    listed = without_bad_annotations(_listed, data, base, problem)
    findings += [Finding("skipped", file, what=words) for file, words in listed.skipped.items()]
    if data.classes is not None:
        listed = only_classes(listed, data.classes, data.where)
    files = listed.files or ()
    frame = frame_of(data, 2)
    looked = look_at_all(root if root.is_dir() else root.parent, files, data.channels, frame, data.decode)
    findings += _bad_files(listed, looked, skip=data.on_bad_file == "skip")
    kept = np.array([i for i, look in enumerate(looked) if look.measures is not None], np.int64)
    good = [look for look in looked if look.measures is not None]
    if not good:
        return None
    measures = joined([look.measures for look in good if look.measures is not None])
    headers = tuple(look.header for look in good if look.header is not None)
    dataset = replace(take(listed, kept), digests=tuple(measures.digests.tolist()))
    findings += strange_headers(dataset.files or (), headers, resized=data.resize is not None)
    dataset = replace(dataset, targets={**dataset.targets, **_masks(data, base, findings, problem)})
    size = headers[0].size if frame is None else frame.size
    shape = (*size, data.channels)
    dataset = replace(dataset, x=np.broadcast_to(np.uint8(0), (len(kept), *shape)))
    return Examples(dataset, {"all": np.arange(len(kept))}, measures, headers)


def _listed(data: ImageFiles, base: Path, problem: Problem) -> Dataset:
    return LISTED[data.tags[0]](data.model_copy(update={"on_bad_file": "skip"}), base, problem)


def _masks(data: ImageFiles, base: Path, findings: list[Finding], problem: Problem) -> dict[str, Target]:
    """The masks of the images that can be read, as training reads them; the first that it would stop at is told."""
    if getattr(data, "masks", None) is None:
        return {}
    try:
        # Of bad boxes all is said, and here their images are left out only where training leaves them out.
        without_boxes = {"boxes": None, "box_classes": None} if data.on_bad_file == "error" else {}
        dataset = SOURCES[data.tags[0]](data.model_copy(update={"on_bad_file": "skip", **without_boxes}), base)
        dataset = dataset if data.classes is None else only_classes(dataset, data.classes, data.where)
    except CnnlabError as error:
        problem(error)
        return {}
    dataset = replace(dataset, targets={"mask": dataset.targets["mask"]})
    findings += wrong_targets(dataset, dataset.x.shape[1:-1])
    return {"mask": dataset.targets["mask"]}


def _bad_files(listed: Dataset, looked: list[Looked], *, skip: bool) -> Iterator[Finding]:
    splits = {int(i): name for name, indices in listed.given.items() for i in indices}
    lost = set(listed.y.tolist())
    for i, look in enumerate(looked):
        label = listed.classes[listed.y[i]] if listed.classes else ""
        if look.kind:
            kind = "skipped" if skip else look.kind
            yield Finding(kind, listed.name(i), split=splits.get(i, ""), label=label, what=look.what)
        else:
            lost.discard(int(listed.y[i]))
    if skip and listed.classes:
        for label in sorted(lost):
            name = listed.classes[label]
            yield Finding("data", label=name, what=f"no image of the class '{name}' can be read")


def _arrays(data: Any, base: Path, findings: list[Finding]) -> Examples | None:
    """Sources that give arrays, whole."""
    dataset = SOURCES[data.source](data, base)
    if data.classes is not None:
        dataset = only_classes(dataset, data.classes, data.where)
    measures = measure_all(dataset.x)
    wrong: list[Finding] = []
    if dataset.classes:
        for i in np.flatnonzero((dataset.y < 0) | (dataset.y >= len(dataset.classes))).tolist():
            words = f"the label is {dataset.y[i]}, and there are {len(dataset.classes)} classes"
            wrong.append(Finding("label_range", dataset.name(i), what=words))
    for i in np.flatnonzero(~np.isfinite(measures.low + measures.high)).tolist():
        count = int((~np.isfinite(dataset.x[i])).sum())
        wrong.append(Finding("not_finite", dataset.name(i), what=f"{count:,} of its values are NaN or infinite"))
    wrong += wrong_targets(dataset, dataset.x.shape[1:-1])
    findings += wrong
    bad = {finding.file for finding in wrong}
    kept = np.array([i for i in range(len(dataset.y)) if not bad or dataset.name(i) not in bad], np.int64)
    if not len(kept):
        return None
    if bad:
        names = tuple(dataset.name(i) for i in kept.tolist())  # their numbers are those in the source
        dataset, measures = replace(take(dataset, kept), files=names), measures.take(kept)
    return Examples(dataset, {"all": np.arange(len(kept))}, measures)


def _placed(findings: list[Finding], examples: Examples) -> list[Finding]:
    """The findings, with split and class where they are of an example that can be used."""
    dataset = examples.dataset
    wanted = {finding.file for finding in findings if finding.file and not finding.label}
    place = {name: i for i in range(len(dataset.y)) if (name := dataset.name(i)) in wanted} if wanted else {}
    split_of = {int(i): name for name, indices in examples.splits.items() for i in indices}
    return [
        replace(finding, split=split_of.get(i, ""), label=dataset.classes[dataset.y[i]] if dataset.classes else "")
        if (i := place.get(finding.file)) is not None
        else finding
        for finding in findings
    ]
