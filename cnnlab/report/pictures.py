"""The pictures of eval/<split>/, by task."""

from typing import Any

import numpy as np

from cnnlab.errors import DataError
from cnnlab.metrics.calibration import reliability
from cnnlab.metrics.ranking import one_against_rest
from cnnlab.metrics.reconstruction import anomalies
from cnnlab.report.figures import confusion_matrix_png
from cnnlab.report.overlays import overlays_png
from cnnlab.report.ranking_curves import precision_recall_png, roc_png
from cnnlab.report.reconstructions import reconstructions_png
from cnnlab.report.reliability_diagram import reliability_png
from cnnlab.report.residuals import residuals_png
from cnnlab.tasks.classification import Classification, predictions
from cnnlab.tasks.multi_label import MultiLabel
from cnnlab.tasks.reconstruction import Reconstruction
from cnnlab.tasks.regression import Regression
from cnnlab.tasks.segmentation import Segmentation
from cnnlab.tasks.task import Found, Task


def pictures(task: Task, report: dict[str, Any], found: Found) -> dict[str, bytes]:
    """File name -> PNG, the most telling one first."""
    split = report["split"]
    match task:
        case Classification():
            said = predictions(found)
            yes = one_against_rest(said.labels, task.outputs)
            reliable = reliability(said.probability, said.predicted == said.labels)
            return {
                "confusion_matrix.png": confusion_matrix_png(report),
                **_curves(yes, found.values["probabilities"], task.names, split),
                "reliability.png": reliability_png(reliable, split),
            }
        case MultiLabel():
            return _curves(found.target > 0, found.values["probabilities"], task.names, split)
        case Regression():
            return {"residuals.png": residuals_png(found.target, found.values["predicted"], task.names, split)}
        case Segmentation():
            return {
                "overlays.png": overlays_png(found.shown, task.names, split),
                "confusion_matrix.png": confusion_matrix_png(report),
            }
        case Reconstruction():
            labels = found.target[:, 0]
            shown, errors, normal = found.shown, found.values["mse"], task.spec.normal
            names = [task.names[label] for label in labels[: len(shown["x"])]] if task.names else None
            strange = None if normal is None else anomalies(labels, task.names, normal)
            drawn = {"reconstructions.png": reconstructions_png(shown, errors, split, names, strange)}
            if strange is None:
                return drawn
            return {**drawn, **_curves(strange[:, None], errors[:, None], ("anomaly, by its error",), split)}
    return {}


def _curves(yes: np.ndarray, scores: np.ndarray, names: tuple[str, ...], split: str) -> dict[str, bytes]:
    """ROC and precision-recall curves, where any name has both yes and no."""
    drawn = {}
    for name, draw in (("roc.png", roc_png), ("precision_recall.png", precision_recall_png)):
        try:
            drawn[name] = draw(yes, scores, names, split)
        except DataError:  # of one class alone there is no curve; the report says so
            continue
    return drawn
