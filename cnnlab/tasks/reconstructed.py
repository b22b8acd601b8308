"""The files of a split's reconstructions: a row an example, a row a class, the codes."""

import io
from typing import Any

import numpy as np

from cnnlab.metrics.predictions import records_csv
from cnnlab.metrics.reconstruction import psnr
from cnnlab.metrics.undefined import plain
from cnnlab.tasks.tables import examples_csv
from cnnlab.tasks.task import Found, Listing


def files(found: Found, report: dict[str, Any], listing: Listing, classes: tuple[str, ...]) -> dict[str, str | bytes]:
    """predictions.csv; per_class.csv where there are classes; codes.npz where the network has a code: "codes"
    [example, ...], "labels", "classes", "indices" and "files" of the examples."""
    labels, mse, normal = found.target[:, 0], found.values["mse"], report.get("normal")
    columns: dict[str, list[Any]] = {"class": [classes[label] if classes else "" for label in labels]}
    if normal is not None:
        columns["anomaly"] = [int(name not in normal) for name in columns["class"]]
    for name, figures in {"loss": found.values["loss"], "mse": mse, "psnr": psnr(mse, report["peak"])}.items():
        columns[name] = [plain(value) for value in figures]
    written: dict[str, str | bytes] = {"predictions.csv": examples_csv(listing, columns)}
    if report["per_class"]:
        written["per_class.csv"] = records_csv(report["per_class"])
    if "code" in found.values:
        names, buffer = listing.files or [""] * len(found), io.BytesIO()
        places: dict[str, Any] = {"indices": listing.indices, "files": np.array(names, str)}
        np.savez(buffer, codes=found.values["code"], labels=labels, classes=np.array(classes, str), **places)
        written["codes.npz"] = buffer.getvalue()
    return written
