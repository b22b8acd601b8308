"""What the pictures of metrics show, read from the drawn figure, and that they are good PNG files."""

import io

import numpy as np
import pytest
from PIL import Image

from cnnlab.errors import DataError
from cnnlab.metrics.calibration import reliability
from cnnlab.metrics.ranking import roc_auc, roc_curve
from cnnlab.metrics.regression import regression_report
from cnnlab.report import ranking_curves, reliability_diagram, residuals
from cnnlab.report.ranking_curves import precision_recall_png, roc_png
from cnnlab.report.reliability_diagram import reliability_png
from cnnlab.report.residuals import residuals_png

RANDOM = np.random.default_rng(0)


def ranked(examples: int, classes: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    labels = RANDOM.integers(0, classes, examples)
    scores = RANDOM.normal(size=(examples, classes)) + 1.5 * np.eye(classes)[labels]
    return labels[:, None] == np.arange(classes), scores, [f"class {k}" for k in range(classes)]


@pytest.fixture
def drawn(monkeypatch):
    """Call a picture and get its figure, drawn while our style holds."""

    def draw(picture, *arguments):
        caught = []

        def catch(figure, *, tight):
            figure.draw_without_rendering()
            caught.append(figure)
            return b""

        with monkeypatch.context() as patch:
            for module in (ranking_curves, reliability_diagram, residuals):
                patch.setattr(module, "png", catch)
            picture(*arguments)
        return caught[0]

    return draw


def legend(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def assert_png(data: bytes, widest: int = 2000) -> None:
    image = Image.open(io.BytesIO(data))
    image.load()
    assert image.format == "PNG"
    assert 500 < image.width < widest
    assert 500 < image.height < 4000


def test_roc_curves_are_those_of_the_metrics_the_lowest_first(drawn):
    truth, scores, names = ranked(200, 4)
    (axes,) = drawn(roc_png, truth, scores, names, "test").axes
    areas = {name: roc_auc(truth[:, k], scores[:, k]) for k, name in enumerate(names)}
    lowest_first = sorted(names, key=lambda name: areas[name])
    assert legend(axes) == [*(f"{name}  {areas[name]:.4f}" for name in lowest_first), "chance 0.5"]
    lines = {str(line.get_label()).split("  ")[0]: line.get_xydata() for line in axes.lines}
    for k, name in enumerate(names):
        curve = roc_curve(truth[:, k], scores[:, k])
        np.testing.assert_array_equal(lines[name], np.stack([curve.x, curve.y], axis=1))
    assert axes.get_title(loc="left") == "test: ROC"
    mean = np.mean(list(areas.values()))
    assert axes.texts[0].get_text() == f"mean AUC {mean:.4f} over 4 of 4 classes"


def test_precision_holds_from_the_recall_before_on(drawn):
    truth, scores = np.array([[True], [False], [True]]), np.array([[0.9], [0.5], [0.1]])
    (axes,) = drawn(precision_recall_png, truth, scores, ["cat"], "test").axes
    (line,) = axes.lines
    assert line.get_drawstyle() == "steps-pre"
    np.testing.assert_allclose(line.get_xydata(), [[0, 1], [0.5, 1], [0.5, 0.5], [1, 2 / 3]])
    assert legend(axes) == ["cat  0.8333"]


def test_of_many_classes_the_lowest_are_named(drawn):
    truth, scores, names = ranked(600, 20)
    (axes,) = drawn(roc_png, truth, scores, names, "test").axes
    assert len(axes.lines) == 21
    assert len(legend(axes)) == 7
    assert axes.get_legend().get_title().get_text() == "AUC, the lowest 6 of 20"


def test_a_class_without_a_curve_is_counted_not_drawn_and_none_at_all_is_an_error(drawn):
    truth, scores, names = ranked(50, 3)
    truth[:, 0] = False
    (axes,) = drawn(roc_png, truth, scores, names, "test").axes
    assert axes.texts[0].get_text().endswith("over 2 of 3 classes")
    for picture, what in ((roc_png, "AUC"), (precision_recall_png, "average precision")):
        with pytest.raises(DataError, match=f"^no class has a defined {what}, so there is no curve to draw$"):
            picture(np.zeros((3, 2), bool), np.zeros((3, 2)), ["a", "b"], "test")


def test_reliability_has_a_bar_a_bin_with_examples(drawn):
    confidence, right = np.array([0.55, 0.58, 0.95, 0.97]), np.array([True, False, True, True])
    found = reliability(confidence, right, bins=10)
    axes, below = drawn(reliability_png, found, "test").axes
    accuracy, gaps = axes.containers
    assert [(bar.get_x(), bar.get_height()) for bar in accuracy] == [(0.5, 0.5), (0.9, 1.0)]
    np.testing.assert_allclose([bar.get_y() for bar in gaps], [0.5, 0.96])
    np.testing.assert_allclose([bar.get_height() for bar in gaps], [0.065, 0.04])
    assert [bar.get_height() for bar in below.containers[0]] == [0.5, 0.5]
    assert axes.texts[0].get_text() == f"expected calibration error {found.error:.4f} over 4 examples"


def test_residuals_are_the_points_and_their_differences(drawn):
    truth = RANDOM.normal(5, 2, (60, 2))
    predicted = truth + RANDOM.normal(size=truth.shape)
    panels = drawn(residuals_png, truth, predicted, ["angle", "x"], "test").axes
    rows = regression_report(truth, predicted, ["angle", "x"])["per_target"]
    for k, (cloud, spread) in enumerate((panels[:2], panels[2:])):
        np.testing.assert_allclose(cloud.collections[0].get_offsets(), np.stack([truth[:, k], predicted[:, k]], 1))
        assert cloud.get_title(loc="right") == f"R2 {rows[k]['r2']:.4f}"
        assert sum(bar.get_height() for bar in spread.containers[0]) == 60
        assert legend(spread) == [f"mean {(predicted - truth)[:, k].mean():.3g}"]


def test_of_many_targets_the_worst_are_drawn_and_a_constant_one_says_so(drawn):
    truth = RANDOM.normal(size=(30, 8))
    truth[:, 7] = 1
    predicted = truth + np.linspace(0.1, 2, 8) * RANDOM.normal(size=truth.shape)
    figure = drawn(residuals_png, truth, predicted, [f"t{k}" for k in range(8)], "test")
    assert [axes.get_title(loc="left") for axes in figure.axes[::2]] == ["t2", "t3", "t4", "t5", "t6", "t7"]
    assert figure.axes[10].get_title(loc="right") == "R2 undefined"
    assert "the 6 of 8 targets of the lowest R2" in figure.get_suptitle()


def test_what_is_not_finite_is_an_error():
    with pytest.raises(DataError, match=r"^a prediction is not finite, so its residual cannot be drawn$"):
        residuals_png(np.zeros((2, 1)), np.array([[0.0], [np.nan]]), ["a"], "test")


def test_they_are_good_files_whatever_the_names():
    truth, scores, _ = ranked(40, 3)
    names = ["$x_1$", "数字", "a name that is longer than any legend would like to have it"]
    assert_png(roc_png(truth, scores, names, "test"))
    assert_png(precision_recall_png(truth, scores, names, "test"))
    assert_png(reliability_png(reliability(np.array([0.3]), np.array([True])), "test"))
    assert_png(residuals_png(np.ones((1, 3)), np.ones((1, 3)), names, "test"))
