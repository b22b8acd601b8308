"""The pictures of eval/<split>/, by task."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

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
from cnnlab.tasks.heads import SeveralHeads
from cnnlab.tasks.multi_label import MultiLabel
from cnnlab.tasks.reconstruction import Reconstruction
from cnnlab.tasks.regression import Regression
from cnnlab.tasks.segmentation import Segmentation
from cnnlab.tasks.task import Found, Task


def pictures(task: Task, report: dict[str, Any], found: Found) -> dict[str, Callable[[], bytes]]:
    """File name -> what draws it, as PNG; the most telling one first."""
    split = report["split"]
    match task:
        case Classification():
            said = predictions(found)
            yes = one_against_rest(said.labels, task.outputs)
            right = said.predicted == said.labels
            return {
                "confusion_matrix.png": partial(confusion_matrix_png, report),
                **_curves(yes, found.values["probabilities"], report, task.names),
                "reliability.png": lambda: reliability_png(reliability(said.probability, right), split),
            }
        case MultiLabel():
            return _curves(found.target > 0, found.values["probabilities"], report, task.names)
        case Regression():
            return {"residuals.png": partial(residuals_png, found.target, found.values["predicted"], task.names, split)}
        case Segmentation():
            return {
                "overlays.png": partial(overlays_png, found.shown, task.names, split),
                "confusion_matrix.png": partial(confusion_matrix_png, report),
            }
        case SeveralHeads():
            return {
                f"{head.name}/{name}": draw
                for head in task.heads
                for name, draw in pictures(head.task, report["heads"][head.name], task.found_by(head, found)).items()
            }
        case Reconstruction():
            labels = found.target[:, 0]
            shown, errors, normal = found.shown, found.values["mse"], task.spec.normal
            names = [task.names[label] for label in labels[: len(shown["x"])]] if task.names else None
            strange = None if normal is None else anomalies(labels, task.names, normal)
            drawn = {"reconstructions.png": partial(reconstructions_png, shown, errors, split, names, strange)}
            if strange is None:
                return drawn
            return {**drawn, **_curves(strange[:, None], errors[:, None], report, ("anomaly, by its error",))}
    return {}


def _curves(
    yes: np.ndarray, scores: np.ndarray, report: dict[str, Any], names: tuple[str, ...]
) -> dict[str, Callable[[], bytes]]:
    """ROC and precision-recall curves, where any name has both yes and no."""
    kinds = {"roc_auc": ("roc.png", roc_png), "average_precision": ("precision_recall.png", precision_recall_png)}
    return {
        file: partial(draw, yes, scores, names, report["split"])
        for figure, (file, draw) in kinds.items()
        if _defined(report[figure])
    }


def _defined(area: Any) -> bool:
    """Whether any name has that area under its curve."""
    return (area["macro"] if isinstance(area, dict) else area) is not None
