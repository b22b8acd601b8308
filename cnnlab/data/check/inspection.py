"""What a check of data has found, and its figures."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnnlab.data.boxes import box_counts
from cnnlab.data.check.duplicates import Leak
from cnnlab.data.check.files import Header
from cnnlab.data.check.findings import Finding
from cnnlab.data.check.measures import Measures
from cnnlab.data.dataset import Dataset


@dataclass(frozen=True, eq=False)
class Examples:
    """Those that can be used. splits: their places, "all" where they cannot be split; headers: of their files."""

    dataset: Dataset
    splits: Mapping[str, np.ndarray]
    measures: Measures
    headers: tuple[Header, ...] = ()

    def counts(self) -> dict[str, list[int]]:
        """By split the examples of each class; of several labels at once how many have each."""
        dataset, labels = self.dataset, self.dataset.targets.get("labels")
        if labels is not None and not dataset.classes:
            return {name: labels.values[indices].sum(0).tolist() for name, indices in self.splits.items()}
        classes = len(dataset.classes)
        return {name: np.bincount(dataset.y[i], minlength=classes).tolist() for name, i in self.splits.items()}

    def classes(self) -> tuple[str, ...]:
        """What `counts` counts."""
        labels = self.dataset.targets.get("labels")
        return self.dataset.classes or (labels.names if labels else ())

    def boxes(self) -> dict[str, Any]:
        """The classes of boxes, and by split what `box_counts` counts; nothing where there are none."""
        target = self.dataset.targets.get("boxes")
        return {} if target is None else {"classes": list(target.names), **box_counts(self.dataset, self.splits)}

    def statistics(self) -> dict[str, dict[str, Any]]:
        """By split: smallest and largest value, mean and deviation per channel, as the values are stored."""
        found = {}
        for name, indices in self.splits.items():
            mean, deviation = self.measures.statistics(indices)
            low, high = self.measures.low[indices].min(), self.measures.high[indices].max()
            figures = {"mean": mean.tolist(), "deviation": deviation.tolist()}
            found[name] = {"low": float(low), "high": float(high), **figures}
        return found

    def kinds(self) -> dict[str, dict[str, int]]:
        """How many images have each size (height x width), mode and format; the most frequent first."""
        sizes = Counter("x".join(map(str, header.size)) for header in self.headers)
        modes, formats = (Counter(getattr(header, key) for header in self.headers) for key in ("mode", "format"))
        named = {"sizes": sizes, "modes": modes, "formats": formats}
        return {name: dict(counter.most_common()) for name, counter in named.items()}


@dataclass(frozen=True, eq=False)
class Inspection:
    """All that was found; no examples where none could be used."""

    where: str
    source: str
    findings: tuple[Finding, ...]
    examples: Examples | None = None
    leaks: tuple[Leak, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def errors(self) -> int:
        """Findings with which training would stop or be wrong."""
        return sum(finding.severity == "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """What `cnnlab data check --json` prints."""
        content: dict[str, Any] = {
            "where": self.where,
            "source": self.source,
            "errors": self.errors,
            "warnings": len(self.findings) - self.errors,
            "leakage": [vars(leak) for leak in self.leaks],
        }
        if self.examples is not None:
            examples = self.examples
            content |= {
                "examples": len(examples.dataset.y),
                "classes": list(examples.classes()),
                "counts": {name: len(indices) for name, indices in examples.splits.items()},
                "counts_per_class": examples.counts(),
                **({"boxes": examples.boxes()} if examples.boxes() else {}),
                "statistics": examples.statistics(),
                **(examples.kinds() if examples.headers else {"shape": list(examples.dataset.x.shape[1:])}),
            }
        return content | {"findings": [finding.to_json() for finding in self.findings], "notes": list(self.notes)}
