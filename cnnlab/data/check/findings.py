"""What `cnnlab data check` can find wrong, and what of it makes training wrong."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

# Kind -> what it is, the worst first. Training would be wrong with any of the first group.
ERRORS = {
    "conflicting_labels": "identical, with another label",
    "leak": "identical, in another split",
    "data": "what training would stop at",
    "unreadable": "cannot be read",
    "truncated": "files that end too early",
    "empty": "files of no bytes",
    "enormous": "more pixels than are decoded",
    "mode": "values that are no 8 or 16 bits",
    "size": "images of another size, and no data.resize",
    "label_range": "labels out of range",
    "not_finite": "values that are NaN or infinite",
    "target": "targets that cannot be",
    "mask_size": "masks of another size than the image",
    "mask_id": "masks with numbers that are no class",
    "annotation": "annotations that cannot be read",
    "no_image": "annotations of no image",
    "annotation_size": "annotations of an image of another size",
    "box_outside": "boxes outside the image",
    "box_empty": "boxes of no area",
    "box_class": "boxes of no class",
}
WARNINGS = {
    "near_conflicting_labels": "alike, with another label",
    "near_leak": "alike, in another split",
    "duplicate": "identical, in the same split",
    "near_duplicate": "alike, in the same split",
    "skipped": "cannot be read and are skipped",
    "constant": "of one value throughout",
    "other_mode": "of another mode than nearly all",
    "box_twice": "boxes that are there twice",
    "no_example": "classes without examples",
}
KINDS = {**ERRORS, **WARNINGS}
HEADER = ("kind", "severity", "file", "other_file", "split", "class", "what")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: a kind, the example (its file, or its number) and the other one, of which split and
    class the first is, and a sentence's end that says what is wrong with it."""

    kind: str
    file: str = ""
    other: str = ""
    split: str = ""
    label: str = ""
    what: str = ""

    @property
    def severity(self) -> str:
        """ "error" where training would be wrong or stop, else "warning"."""
        return "error" if self.kind in ERRORS else "warning"

    def to_json(self) -> dict[str, str]:
        """The columns of the CSV by name."""
        kind, *rest = astuple(self)
        return dict(zip(HEADER, (kind, self.severity, *rest), strict=True))


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst kind first; within a kind as they came."""
    place = {kind: i for i, kind in enumerate(KINDS)}
    return tuple(sorted(findings, key=lambda finding: place[finding.kind]))


def to_csv(findings: Sequence[Finding]) -> str:
    """A header and a row a finding."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(finding.to_json().values() for finding in findings)
    return text.getvalue()
