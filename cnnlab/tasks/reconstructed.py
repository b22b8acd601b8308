"""The files of a split's reconstructions: a row an example, a row a class, the codes."""

import io
from typing import Any

import numpy as np

from cnnlab.metrics.predictions import csv_text
from cnnlab.metrics.reconstruction import psnr
from cnnlab.tasks.task import Found, Listing


def files(found: Found, report: dict[str, Any], listing: Listing, classes: tuple[str, ...]) -> dict[str, str | bytes]:
    """predictions.csv; per_class.csv where there are classes; codes.npz where the network has a code: "codes"
    [example, ...], "labels", "classes", "indices" and "files" of the examples."""
    names, labels = listing.files or [""] * len(found), found.target[:, 0]
    mse, normal = found.values["mse"], report.get("normal")
    rows = []
    for i, file, label, *figures in zip(
        listing.indices, names, labels, found.values["loss"], mse, psnr(mse, report["peak"]), strict=True
    ):
        name = classes[label] if classes else ""
        kind = [] if normal is None else [int(name not in normal)]
        rows.append([int(i), file, name, *kind, *("" if np.isnan(value) else float(value) for value in figures)])
    head = ["index", "file", "class", *([] if normal is None else ["anomaly"]), "loss", "mse", "psnr"]
    written: dict[str, str | bytes] = {"predictions.csv": csv_text([head, *rows])}
    if report["per_class"]:
        table = [tuple(report["per_class"][0]), *(tuple(row.values()) for row in report["per_class"])]
        written["per_class.csv"] = csv_text(table)
    if "code" in found.values:
        buffer = io.BytesIO()
        places: dict[str, Any] = {"indices": listing.indices, "files": np.array(names, str)}
        np.savez(buffer, codes=found.values["code"], labels=labels, classes=np.array(classes, str), **places)
        written["codes.npz"] = buffer.getvalue()
    return written
