"""The field of a network beside the objects in the data that it is trained on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.data.objects import object_sizes
from cnnlab.errors import SpecError
from cnnlab.receptive_field.report import Report
from cnnlab.runs.directory import open_run
from cnnlab.runs.network import Network
from cnnlab.runs.pretrained import prepare_experiment
from cnnlab.spec.load import load

PERCENTILE = 90


@dataclass(frozen=True)
class Objects:
    """Of the training split: how many, the 90th percentile of their sides and the largest per axis in pixels; the
    model's field (the smallest where it alternates, None where it is all), and the share of objects that fit in it."""

    count: int
    percentile: tuple[float, ...]
    largest: tuple[float, ...]
    field: tuple[int | None, ...]
    fitting: float

    @property
    def sentence(self) -> str:
        """What it means for the network."""
        sides = "x".join(f"{side:g}" for side in self.percentile)
        if all(size is None for size in self.field):
            return f"the objects in your data ({PERCENTILE}th percentile {sides} px) lie within the field: it is all"
        size = "x".join("all" if side is None else str(side) for side in self.field)
        pairs = zip(self.percentile, self.field, strict=True)
        larger = any(side is not None and wanted > side for wanted, side in pairs)
        words = "are larger than" if larger else "fit into"
        share = f"{self.fitting:.0%} of {self.count:,} fit"
        return f"the objects in your data ({PERCENTILE}th percentile {sides} px) {words} the {size} px field; {share}"

    def to_json(self) -> dict[str, Any]:
        sides = {f"percentile_{PERCENTILE}": list(self.percentile), "largest": list(self.largest)}
        return {"count": self.count, **sides, "field": list(self.field), "fitting": self.fitting}


def against_data(target: Path, network: Network, report: Report) -> Objects:
    """The model's field beside the sides of boxes or masks. Raises SpecError where the data has neither."""
    prepared = network.prepared
    if prepared is None and target.is_dir():
        prepared = prepare_experiment(load(open_run(target).resolved, begun=True))[1]
    if prepared is None:
        raise SpecError("--against-data: the spec has no data", where=str(target), hint="give data with boxes or masks")
    sizes = object_sizes(prepared.dataset, prepared.splits["train"])
    if not len(sizes):
        message = f"--against-data: the data ({prepared.dataset.source}) has neither boxes nor masks"
        raise SpecError(
            message, where=str(target), hint="such as digit_scenes, shapes, coco, image_folder with masks or boxes"
        )
    extents = (None,) * sizes.shape[1] if report.model is None else report.model.axes
    field = tuple(None if extent is None else extent.size[0] for extent in extents)
    fits = np.all([sizes[:, k] <= (np.inf if side is None else side) for k, side in enumerate(field)], axis=0)
    percentile = tuple(float(round(value, 1)) for value in np.percentile(sizes, PERCENTILE, axis=0))
    return Objects(len(sizes), percentile, tuple(sizes.max(0).tolist()), field, float(fits.mean()))
