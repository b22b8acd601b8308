"""What `cnnlab data check` has found, for people: leakage first, then what is wrong, then what there is."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from cnnlab.cli.render import console_for, shaped, show, table
from cnnlab.errors import printable

if TYPE_CHECKING:
    import numpy as np

    from cnnlab.data.check.findings import Finding
    from cnnlab.data.check.inspection import Examples, Inspection
    from cnnlab.data.dataset import Dataset

MOST_CLASSES = 20  # rows; beyond, the largest and the smallest
MOST_KINDS = 6  # sizes, modes
EXAMPLES = 3  # findings of a kind that are shown


def inspection(found: "Inspection") -> None:
    """Everything, in that order, and at last whether one can train on it."""
    console, examples = console_for(sys.stdout), found.examples
    count = "no example that can be used"
    if examples is not None:
        dataset = examples.dataset
        form = shaped(dataset.x.shape[1:])
        count = f"{len(dataset.y):,} examples of {form}, {len(examples.classes()):,} classes"
    console.print(Text(f"{printable(found.where)}: {count} ({found.source})"))
    for sentence in _leakage(found):
        console.print(Text(sentence, style="bold"))
    if found.findings:
        _findings(console, found.findings)
    if examples is not None:
        if "boxes" not in examples.dataset.targets or examples.dataset.classes:
            _classes(console, examples)
        boxes(examples.dataset, examples.splits)
        _values(console, examples)
        for name, counts in examples.kinds().items() if examples.headers else ():
            shown = [f"{count:,} {kind}" for kind, count in list(counts.items())[:MOST_KINDS]]
            more = [f"{len(counts) - MOST_KINDS} more"] if len(counts) > MOST_KINDS else []
            console.print(Text(f"{name:<9}{', '.join(shown + more)}"))
    warnings = len(found.findings) - found.errors
    verdict = "training would stop or be wrong" if found.errors else "nothing stands against training"
    console.print(Text(f"{_counted(found.errors, 'error')}, {_counted(warnings, 'warning')}: {verdict}", style="bold"))


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _leakage(found: "Inspection") -> Iterator[str]:
    """A sentence for every two splits that share examples; one where none do."""
    if not found.leaks:
        return
    leaks = [leak for leak in found.leaks if leak.identical or leak.near]
    for leak in leaks:
        of, place = f"of the {leak.examples:,} {leak.split} examples", f"in {leak.earlier}"
        alike = f"{leak.near:,} ({leak.near / leak.examples:.1%}) look like one"
        if leak.identical:
            more = f", and {alike} there" if leak.near else ""
            yield f"LEAKAGE: {leak.identical:,} ({leak.identical / leak.examples:.1%}) {of} are {place} too{more}"
        else:
            yield f"possible leakage: {alike} {place}, {of}"
    if not leaks:
        yield "no leakage: no example of a split is in another one, or looks like one there"


def _findings(console: Console, findings: Sequence["Finding"]) -> None:
    """A line a kind with its number, and the first few of it."""
    from cnnlab.data.check.findings import KINDS

    console.print()
    for kind, group in groupby(findings, lambda finding: finding.kind):
        these = list(group)
        console.print(Text(f"{these[0].severity:<8} {KINDS[kind]}: {len(these):,}", style="bold"))
        for finding in these[:EXAMPLES]:
            console.print(Text(printable(f"  {finding.file}: {finding.what}" if finding.file else f"  {finding.what}")))
        if len(these) > EXAMPLES:
            console.print(Text(f"  and {len(these) - EXAMPLES:,} more"))


def _classes(console: Console, examples: "Examples") -> None:
    """A row a class: its examples and their share of each split."""
    names, counts = examples.classes(), examples.counts()
    if not names:
        return
    order = _shown([sum(of_class) for of_class in zip(*counts.values(), strict=True)])
    rows = [[printable(names[i]), *_shares([counts[split][i] for split in counts], examples)] for i in order]
    rows.append(["examples", *(f"{len(indices):,}       " for indices in examples.splits.values())])
    heading = "class" if len(names) <= MOST_CLASSES else f"largest and smallest of {len(names):,} classes"
    made = table((heading, *(f"{split}       " for split in counts)), rows, foot=1)
    show(console, made)


def _shown(total: Sequence[int]) -> list[int]:
    """The places of the classes that get a row: all, or of many the largest and the smallest."""
    order = list(range(len(total)))
    if len(total) <= MOST_CLASSES:
        return order
    by_count = sorted(order, key=lambda i: (-total[i], i))
    return by_count[: MOST_CLASSES // 2] + by_count[-MOST_CLASSES // 2 :]


def boxes(dataset: "Dataset", splits: Mapping[str, "np.ndarray"]) -> None:
    """A row a class of boxes: in each split its objects, and the images that have one; nothing without boxes."""
    from cnnlab.data.boxes import box_counts

    counts = box_counts(dataset, splits)
    if not counts:
        return
    names = dataset.targets["boxes"].names
    order = _shown([sum(each) for each in zip(*(of["objects"] for of in counts.values()), strict=True)])
    rows = [
        [printable(names[i]), *(f"{of['objects'][i]:,} in {of['images'][i]:,}" for of in counts.values())]
        for i in order
    ]
    with_some = [f"{sum(of['objects']):,} in {len(splits[name]) - of['without']:,}" for name, of in counts.items()]
    rows += [["all", *with_some], ["images without objects", *(f"{of['without']:,}" for of in counts.values())]]
    heading = "objects in images" if len(names) <= MOST_CLASSES else f"largest and smallest of {len(names):,} classes"
    show(console_for(sys.stdout), table((heading, *counts), rows, foot=2))


def _shares(counts: Sequence[int], examples: "Examples") -> list[str]:
    sizes = [len(indices) for indices in examples.splits.values()]
    return [f"{count:,} {count / size:6.1%}" for count, size in zip(counts, sizes, strict=True)]


def _values(console: Console, examples: "Examples") -> None:
    """A row a split: smallest and largest value, mean and deviation per channel."""
    rows = []
    for name, figures in examples.statistics().items():
        channels = [" ".join(f"{value:.4g}" for value in figures[key][:4]) for key in ("mean", "deviation")]
        more = " ..." if len(figures["mean"]) > 4 else ""
        rows.append([name, f"{figures['low']:.4g} to {figures['high']:.4g}", *(text + more for text in channels)])
    show(console, table(("values", "range", "mean", "deviation"), rows))
