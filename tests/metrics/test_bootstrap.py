"""Intervals: every figure of a resample is scikit-learn's of the examples drawn, and percentiles are NumPy's."""

import warnings

import numpy as np
import pytest
import scipy.stats
from sklearn import metrics as oracle

from cnnlab.metrics import bootstrap, resampled
from cnnlab.metrics.bootstrap import Interval, intervals, together
from cnnlab.metrics.calibration import reliability
from cnnlab.metrics.segmentation import segmentation_report

RANDOM = np.random.default_rng(0)
N, CLASSES, RESAMPLES = 30, 4, 25
LABELS = RANDOM.choice(CLASSES, N, p=[0.5, 0.3, 0.17, 0.03])  # the last is missing from some resamples
SCORES = np.round(RANDOM.dirichlet(np.ones(CLASSES), N) + 0.5 * np.eye(CLASSES)[LABELS], 1)
PREDICTED = SCORES.argmax(1)
WEIGHTS = RANDOM.multinomial(N, np.full(N, 1 / N), RESAMPLES).T.astype(np.float64)
DRAWN = [np.repeat(np.arange(N), counts.astype(int)) for counts in WEIGHTS.T]


def expected(figure, *arrays) -> np.ndarray:
    """A figure of each resample, by its examples."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.array([figure(*(array[drawn] for array in arrays)) for drawn in DRAWN])


def check(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.shape == (RESAMPLES,)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


def test_figures_of_classes():
    found = resampled.classification(LABELS, PREDICTED, CLASSES)(WEIGHTS)
    macro = {"average": "macro", "zero_division": 0, "labels": range(CLASSES)}
    check(found["accuracy"], expected(oracle.accuracy_score, LABELS, PREDICTED))
    check(found["balanced_accuracy"], expected(oracle.balanced_accuracy_score, LABELS, PREDICTED))
    check(found["matthews_correlation"], expected(oracle.matthews_corrcoef, LABELS, PREDICTED))
    check(found["cohens_kappa"], expected(oracle.cohen_kappa_score, LABELS, PREDICTED))
    check(found["precision"], expected(lambda y, z: oracle.precision_score(y, z, **macro), LABELS, PREDICTED))
    check(found["recall"], expected(lambda y, z: oracle.recall_score(y, z, **macro), LABELS, PREDICTED))
    check(found["f1"], expected(lambda y, z: oracle.f1_score(y, z, **macro), LABELS, PREDICTED))


def test_areas_with_equal_scores_and_missing_classes():
    truth = np.arange(CLASSES) == LABELS[:, None]
    found = resampled.ranking(truth, SCORES)(WEIGHTS)

    def macro(area, truth, scores):
        there = [k for k in range(CLASSES) if 0 < truth[:, k].sum() < len(truth)]
        return np.mean([area(truth[:, k], scores[:, k]) for k in there])

    assert any(not truth[drawn, 3].any() for drawn in DRAWN)
    check(found["roc_auc"], expected(lambda y, z: macro(oracle.roc_auc_score, y, z), truth, SCORES))
    check(found["average_precision"], expected(lambda y, z: macro(oracle.average_precision_score, y, z), truth, SCORES))


def test_a_name_that_is_always_or_never_there_has_no_area():
    found = resampled.ranking(np.array([[True, False]] * N), SCORES[:, :2])(WEIGHTS)
    assert np.isnan(found["roc_auc"]).all()
    check(found["average_precision"], np.ones(RESAMPLES))  # of the one that is always there


def test_means_and_calibration():
    losses = RANDOM.random(N).astype(np.float32)
    check(resampled.mean("loss", losses)(WEIGHTS)["loss"], expected(np.mean, losses.astype(np.float64)))
    confidence = RANDOM.random(N)
    found = resampled.calibration(confidence, LABELS == PREDICTED, bins=5)(WEIGHTS)["expected_calibration_error"]
    check(found, expected(lambda c, r: reliability(c, r, bins=5).error, confidence, LABELS == PREDICTED))


def test_figures_of_numbers():
    truth = RANDOM.normal(100, 1, (N, 2))
    predicted = truth + RANDOM.normal(size=(N, 2))
    found = resampled.regression(truth, predicted)(WEIGHTS)
    check(found["mse"], expected(oracle.mean_squared_error, truth, predicted))
    check(found["rmse"], expected(oracle.root_mean_squared_error, truth, predicted))
    check(found["mae"], expected(oracle.mean_absolute_error, truth, predicted))
    check(found["r2"], expected(oracle.r2_score, truth, predicted))


def test_r2_is_undefined_where_the_same_value_was_drawn_alone():
    truth = np.array([[0.1], [0.7], [0.7]])
    weights = np.array([[3.0, 0.0, 1.0], [0.0, 2.0, 1.0], [0.0, 1.0, 1.0]])
    r2 = resampled.regression(truth, truth + 0.1)(weights)["r2"]
    assert np.isnan(r2).tolist() == [True, True, False]


def test_figures_of_labels():
    truth, predicted = RANDOM.random((2, N, 3)) < 0.4
    found = resampled.multi_label(truth, predicted)(WEIGHTS)
    macro = {"average": "macro", "zero_division": 0}
    check(found["subset_accuracy"], expected(oracle.accuracy_score, truth, predicted))
    check(found["hamming_loss"], expected(oracle.hamming_loss, truth, predicted))
    check(found["f1"], expected(lambda y, z: oracle.f1_score(y, z, **macro), truth, predicted))


def test_figures_of_masks_draw_whole_examples():
    truth = RANDOM.integers(0, 2, (N, 4, 4)).astype(np.uint8)
    truth[:2] = 2  # a class of two examples
    predicted = np.where(RANDOM.random(truth.shape) < 0.8, truth, 0)
    pairs = zip(truth, predicted, strict=True)
    matrices = np.array([oracle.confusion_matrix(y.ravel(), z.ravel(), labels=range(3)) for y, z in pairs])
    found = resampled.masks(matrices)(WEIGHTS)
    for name in ("pixel_accuracy", "mean_iou", "mean_dice"):
        check(found[name], expected(lambda m, name=name: segmentation_report(m.sum(0), "abc")[name], matrices))


def test_resamples_draw_as_many_as_there_are_in_blocks_alike(monkeypatch):
    def all_of(at_once: int) -> np.ndarray:
        seen = []
        monkeypatch.setattr(bootstrap, "_WEIGHTS", at_once * N)

        def statistic(weights):
            assert weights.shape[0] == N
            assert weights.shape[1] <= at_once
            seen.append(weights)
            return {"mean": np.arange(N) @ weights / N}

        intervals(statistic, N, seed=3, resamples=2000)
        return np.concatenate(seen, axis=1)

    weights = all_of(300)
    assert weights.shape == (N, 2000)
    assert (weights.sum(0) == N).all()
    assert weights.mean() == 1
    of_one = np.bincount(weights[0].astype(int), minlength=8)[:8] / 2000
    np.testing.assert_allclose(of_one, scipy.stats.binom.pmf(np.arange(8), N, 1 / N), atol=0.05)
    assert all_of(2000).shape == all_of(1).shape == weights.shape


def test_intervals_are_percentiles_seeded_and_near_the_normal_ones():
    values = RANDOM.normal(2, 3, 4000)
    found = intervals(resampled.mean("mean", values), 4000, seed=0)["mean"]
    half = 1.96 * values.std() / np.sqrt(4000)
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert found == intervals(resampled.mean("mean", values), 4000, seed=0)["mean"]
    assert found != intervals(resampled.mean("mean", values), 4000, seed=1)["mean"]
    narrower = intervals(resampled.mean("mean", values), 4000, seed=0, level=0.5)["mean"]
    assert found.low < narrower.low < narrower.high < found.high


def test_what_is_undefined_is_counted_not_hidden_and_arrays_have_a_list():
    def statistic(weights):
        first = weights[0]
        some = np.where(first > 0, 7.0, np.nan)
        return {"never": np.full_like(first, np.nan), "some": some, "both": np.stack([first * 0, some], axis=-1)}

    found = intervals(statistic, 5, seed=0)
    assert found["never"] == Interval(None, None, 1000)
    assert found["some"][:2] == (7.0, 7.0)
    assert found["some"].undefined == pytest.approx(1000 * 0.8**5, abs=80)
    assert found["both"] == [Interval(0.0, 0.0, 0), found["some"]]


def test_several_statistics_share_their_resamples():
    values = RANDOM.random(N)
    found = intervals(together(resampled.mean("a", values), resampled.mean("b", values)), N, seed=0)
    assert found["a"] == found["b"]
