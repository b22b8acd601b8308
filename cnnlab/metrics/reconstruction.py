"""Figures of reconstructions: squared errors, the signal's share in decibels, how well the error tells anomalies."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped

from cnnlab.errors import DataError
from cnnlab.metrics.ranking import average_precision, roc_auc
from cnnlab.metrics.undefined import plain


def psnr(mse: Shaped[np.ndarray, "*any"], peak: float) -> Float64[np.ndarray, "*any"]:
    """10 log10(peak^2 / mse), in decibels; NaN where the error or the peak is 0."""
    share = peak**2 / np.where(mse == 0, np.nan, mse).astype(np.float64)
    return np.asarray(10 * np.log10(np.where(share == 0, np.nan, share)))


def reconstruction_report(
    mse: Shaped[np.ndarray, " example"],
    peak: float,
    labels: Int[np.ndarray, " example"],
    classes: Sequence[str],
    *,
    corrupted_mse: Shaped[np.ndarray, " example"] | None = None,
    normal: Sequence[str] | None = None,
) -> dict[str, Any]:
    """ "mse", "psnr" of it, "peak", and a row of mse, psnr and examples for each class that is there, "per_class".

    mse: the mean squared error of each example. With `corrupted_mse`, that of what the network was given,
    "corrupted_psnr". With `normal` classes "roc_auc" and "average_precision" of the error, where every other class is
    an anomaly, and the number of "anomalies". None is what is not defined, its name in "undefined". Raises DataError
    without examples.
    """
    if len(mse) == 0:
        raise DataError("there is no example", hint="there is nothing to measure")
    each = mse.astype(np.float64)
    figures: dict[str, Any] = {"mse": float(each.mean()), "psnr": plain(psnr(each.mean(), peak))}
    if corrupted_mse is not None:
        figures["corrupted_psnr"] = plain(psnr(corrupted_mse.mean(dtype=np.float64), peak))
    if normal is not None:
        strange = anomalies(labels, classes, normal)
        figures |= {"roc_auc": roc_auc(strange, each), "average_precision": average_precision(strange, each)}
        figures |= {"anomalies": int(strange.sum()), "normal": list(normal)}
    rows = []
    for k, name in enumerate(classes):
        own = each[labels == k]
        if len(own):
            kind = {} if normal is None else {"normal": name in normal}
            mean = own.mean()
            rows.append(
                {"class": name, **kind, "mse": float(mean), "psnr": plain(psnr(mean, peak)), "examples": len(own)}
            )
    undefined = [name for name, value in figures.items() if value is None]
    return {**figures, "peak": peak, "per_class": rows, "undefined": undefined}


def anomalies(
    labels: Int[np.ndarray, " example"], classes: Sequence[str], normal: Sequence[str]
) -> Bool[np.ndarray, " example"]:
    """Which examples are of no normal class."""
    return ~np.isin(labels, [classes.index(name) for name in normal])
