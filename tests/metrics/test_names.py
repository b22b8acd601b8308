"""The names that `cnnlab list metrics` shows are those of the reports and of the intervals."""

import numpy as np

from cnnlab.metrics import resampled
from cnnlab.metrics.agreement import agreement_report
from cnnlab.metrics.bootstrap import intervals, together
from cnnlab.metrics.confusion import classification_report
from cnnlab.metrics.multi_label import multi_label_report
from cnnlab.metrics.predictions import Predictions
from cnnlab.metrics.ranking import ranking_report
from cnnlab.metrics.reconstruction import reconstruction_report
from cnnlab.metrics.regression import regression_report
from cnnlab.metrics.segmentation import segmentation_report
from cnnlab.spec.metrics import METRICS_OF_TASK

NAMES = ("a", "b")
LABELS, PREDICTED = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])
TRUTH, CALLED = LABELS[:, None] == [0, 1], PREDICTED[:, None] == [0, 1]
SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
ONES = np.ones(4, np.float32)


def keys(report: dict) -> set[str]:
    """The names of figures, inside averages too."""
    return set(report) | {key for part in report.values() if isinstance(part, dict) for key in part}


def test_every_name_is_one_of_a_report_or_of_the_intervals():
    ranked = ranking_report(TRUTH, SCORES, NAMES)
    whole = classification_report(Predictions(LABELS, PREDICTED, ONES, ONES, 1 * (LABELS != PREDICTED)), NAMES, "test")
    statistics = {
        "classification": (
            resampled.classification(LABELS, PREDICTED, 2), resampled.ranking(TRUTH, SCORES),
            resampled.calibration(SCORES.max(1), LABELS == PREDICTED), resampled.mean("log_loss", ONES),
        ),
        "multi_label": (resampled.multi_label(TRUTH, CALLED), resampled.ranking(TRUTH, SCORES)),
        "regression": (resampled.regression(SCORES, SCORES + 1),),
        "segmentation": (resampled.masks(np.ones((4, 2, 2), int)),),
        "reconstruction": (resampled.reconstruction(ONES, 1, ONES), resampled.ranking(TRUTH[:, :1], SCORES[:, :1])),
    }  # fmt: skip
    reported = {
        "classification": keys(agreement_report(np.eye(2), NAMES)) | keys(ranked) | keys(whole),
        "multi_label": keys(multi_label_report(TRUTH, CALLED, NAMES)) | keys(ranked),
        "regression": keys(regression_report(SCORES, SCORES, NAMES)),
        "segmentation": keys(segmentation_report(np.eye(2, dtype=int), NAMES)),
        "reconstruction": keys(reconstruction_report(ONES, 1, LABELS, NAMES, corrupted_mse=ONES, normal=["a"])),
    }
    assert set(statistics) == set(METRICS_OF_TASK)
    for task, names in METRICS_OF_TASK.items():
        resampled_names = set(intervals(together(*statistics[task]), 4, seed=0, resamples=20))
        assert resampled_names <= set(names)
        assert set(names) <= reported[task] | resampled_names
