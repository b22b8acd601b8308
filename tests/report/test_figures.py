"""What the pictures show, read from the drawn figure, and that they are good PNG files."""

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from cnnlab.errors import DataError
from cnnlab.report import figures


def report_of(matrix, classes=None) -> dict:
    """The parts of a classification report that the picture uses."""
    counts = np.array(matrix)
    accuracy = float(counts.trace() / counts.sum())
    names = classes or [f"class {index}" for index in range(len(counts))]
    return {"split": "test", "accuracy": accuracy, "confusion_matrix": counts.tolist(), "classes": list(names)}


def random_report(classes: int, names=None, count: int = 50) -> dict:
    rng = np.random.default_rng(classes)
    return report_of(rng.integers(0, 4, (classes, classes)) + np.eye(classes, dtype=int) * count, names)


def history_of(epochs: int, *, validation: bool = True, decay: float = 0.9) -> list[dict]:
    rows = []
    for epoch in range(1, epochs + 1):
        loss = 2.3 * decay**epoch
        row = {
            "epoch": epoch, "step": 20 * epoch, "train/loss": loss, "train/accuracy": 1 - loss / 3,
            "learning_rate": 0.003 / epoch, "seconds": 0.4, "images_per_second": 3000.0 + epoch,
        }  # fmt: skip
        if validation:
            row |= {"validation/loss": loss + 0.1, "validation/accuracy": 0.95 - loss / 3, "validation/f1": 0.9}
        rows.append(row)
    return rows


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
            patch.setattr(figures, "png", catch)
            picture(*arguments)
        return caught[0]

    return draw


def open_png(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def lines(axes) -> dict[str, np.ndarray]:
    return {str(line.get_label()): line.get_xydata() for line in axes.lines}


def texts(labels) -> list[str]:
    return [label.get_text() for label in labels]


@pytest.mark.parametrize("classes", [1, 2, 10, 20, 21, 60, 101])
def test_matrix_picture_has_a_sensible_size(classes):
    image = open_png(figures.confusion_matrix_png(random_report(classes)))
    assert image.format == "PNG"
    assert 350 <= image.width <= 2700
    assert 0.8 < image.width / image.height < 1.3
    assert set(image.info) == {"dpi"}  # neither date nor program


@pytest.mark.parametrize("epochs", [1, 2, 30, 400])
def test_curves_picture_has_a_sensible_size(epochs):
    image = open_png(figures.curves_png(history_of(epochs), 1))
    assert image.size == (1504, 800)
    assert set(image.info) == {"dpi"}


def test_same_figures_give_the_same_bytes():
    report, other = random_report(4), random_report(4, count=9)
    assert figures.confusion_matrix_png(report) == figures.confusion_matrix_png(report)
    assert figures.confusion_matrix_png(report) != figures.confusion_matrix_png(other)
    assert figures.curves_png(history_of(5), 2) == figures.curves_png(history_of(5), 2)
    assert figures.curves_png(history_of(5), 2) != figures.curves_png(history_of(5), 3)


def test_matrix_colours_are_shares_of_the_row_and_cells_hold_counts(drawn):
    matrix = [[3, 1, 0], [0, 0, 0], [0, 1200, 0]]
    axes = drawn(figures.confusion_matrix_png, report_of(matrix)).axes[0]
    share = axes.images[0].get_array()
    np.testing.assert_allclose(share[[0, 2]].data, [[0.75, 0.25, 0], [0, 1, 0]])
    np.testing.assert_array_equal(share.mask.all(axis=1), [False, True, False])
    cells = {text.get_position(): text.get_text() for text in axes.texts if text.get_transform() == axes.transData}
    assert cells == {(0, 0): "3", (1, 0): "1", (1, 2): "1,200", (1.0, 1): "no example"}
    assert axes.get_title(loc="left") == "test: accuracy 0.25 %"
    assert "confusion matrix, 3 of 1,204 right" in texts(axes.texts)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_counts_fit_their_cells(drawn):
    axes = drawn(figures.confusion_matrix_png, random_report(20, count=123_456)).axes[0]
    cell = axes.get_window_extent().width / 20
    widths = [text.get_window_extent().width for text in axes.texts if "," in text.get_text()][:20]
    assert max(widths) <= cell


def test_many_classes_have_no_counts(drawn):
    axes = drawn(figures.confusion_matrix_png, random_report(21)).axes[0]
    assert len(axes.texts) == 1  # the line under the title


@pytest.mark.parametrize(
    "names",
    [
        [f"{index}" for index in range(10)],
        [f"a rather long name of a class, number {index}" for index in range(60)],
        [f"category_{index}" for index in range(100)],
        [f"n{index:08d}" for index in range(250)],
    ],
    ids=len,
)
def test_class_labels_do_not_overlap(drawn, names):
    axes = drawn(figures.confusion_matrix_png, random_report(len(names), names)).axes[0]
    across = [label.get_window_extent() for label in axes.get_xticklabels()]
    down = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert len(across) == len(down) == min(len(names), 84 if len(names) == 250 else 100)
    assert all(left.x1 <= right.x0 for left, right in pairwise(across))
    assert all(above.y0 >= below.y1 for above, below in pairwise(down))


def test_names_that_are_alike_when_shortened_are_told_apart(drawn):
    names = [f"a name so long that number {index} of it has to be left out" for index in range(3)]
    axes = drawn(figures.confusion_matrix_png, random_report(4, [*names, "short"])).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert [label.split()[0] for label in labels] == ["0", "1", "2", "short"]
    assert len(set(labels)) == 4


@pytest.mark.parametrize(("name", "rotation"), [("cat", 0), ("a name too long", 40), ("三只猫和五只狗", 40)])
def test_labels_turn_only_where_they_must(drawn, name, rotation):
    axes = drawn(figures.confusion_matrix_png, random_report(10, [name] * 10)).axes[0]
    assert axes.get_xticklabels()[0].get_rotation() == rotation


def test_class_names_are_shown_as_they_are(drawn):
    names = ["$x_1$ or $5", r"a\b{c}^2", "two\nlines", "", "猫", "a very long name that ends in 12345"]
    axes = drawn(figures.confusion_matrix_png, random_report(6, names)).axes[0]
    shown = ["$x_1$ or $5", r"a\b{c}^2", "two\N{REPLACEMENT CHARACTER}lines", "", "猫", "a very long n… ends in 12345"]
    assert texts(axes.get_yticklabels()) == texts(axes.get_xticklabels()) == shown
    assert not any(label.get_parse_math() for label in (*axes.get_xticklabels(), *axes.get_yticklabels()))
    assert open_png(figures.confusion_matrix_png(random_report(6, names))).format == "PNG"


def test_curves_show_the_history_and_the_best_epoch(drawn):
    history = history_of(20)
    loss, accuracy, rate, speed = drawn(figures.curves_png, history, 7).axes
    for axes, metric in ((loss, "loss"), (accuracy, "accuracy")):
        for split in ("train", "validation"):
            expected = [(row["epoch"], row[f"{split}/{metric}"]) for row in history]
            np.testing.assert_array_equal(lines(axes)[split], expected)
        assert set(lines(axes)["best epoch"][:, 0]) == {7}
    assert loss.get_title(loc="right") == f"validation {history[6]['validation/loss']:.4g} at epoch 7"
    assert accuracy.get_title(loc="right") == f"validation {100 * history[6]['validation/accuracy']:.2f} % at epoch 7"
    np.testing.assert_array_equal(rate.lines[0].get_ydata(), [row["learning_rate"] for row in history])
    np.testing.assert_array_equal(speed.lines[0].get_ydata(), [row["images_per_second"] for row in history])
    assert texts(rate.get_yticklabels()) == ["0", "0.003"]
    assert texts(speed.get_yticklabels()) == ["0", "3,020"]


@pytest.mark.parametrize(("decay", "scale"), [(0.9, "linear"), (0.5, "log")])
def test_loss_over_decades_is_logarithmic(drawn, decay, scale):
    loss, accuracy, *_ = drawn(figures.curves_png, history_of(20, decay=decay), None).axes
    assert loss.get_yscale() == scale
    assert accuracy.get_yscale() == "linear"


def test_a_loss_of_zero_is_left_out_of_a_logarithmic_panel(drawn):
    history = history_of(20, decay=0.5)
    history[-1]["train/loss"] = 0.0
    loss = drawn(figures.curves_png, history, None).axes[0]
    assert loss.get_yscale() == "log"
    assert 1e-7 < loss.get_ylim()[0] < 1e-5


def test_one_epoch_is_a_point_with_its_number(drawn):
    loss, accuracy, rate, _ = drawn(figures.curves_png, history_of(1), 1).axes
    assert loss.lines[0].get_marker() == "o"
    assert texts(rate.get_xticklabels()) == ["1"]
    assert loss.get_ylim()[0] == 0
    assert accuracy.get_ylim() == (0, 1.02)


@pytest.mark.parametrize("absent", ["missing", None, float("nan"), float("inf")])
def test_values_that_are_not_there_are_left_out(drawn, absent):
    history = history_of(4)
    for row in (history[0], history[2]):
        for key in ("validation/loss", "validation/accuracy"):
            row.pop(key) if absent == "missing" else row.update({key: absent})
    loss, accuracy, *_ = drawn(figures.curves_png, history, 1).axes
    for axes in (loss, accuracy):
        np.testing.assert_array_equal(lines(axes)["validation"][:, 0], [2, 4])
        assert axes.get_title(loc="right") == ""  # the best epoch has no validation figure
        assert np.isfinite(axes.get_ylim()).all()


def test_without_validation_there_is_one_curve(drawn):
    figure = drawn(figures.curves_png, history_of(4, validation=False), None)
    assert texts(figure.legends[0].get_texts()) == ["train"]


def test_a_history_of_nothing_but_nan_is_still_a_picture():
    row = {"epoch": 1, "step": 1} | dict.fromkeys(("train/loss", "train/accuracy", "learning_rate"), float("nan"))
    assert open_png(figures.curves_png([row], None)).size == (1504, 800)


def test_no_epoch_is_an_error():
    with pytest.raises(DataError, match=r"^no epoch is finished, so there is no curve to draw$"):
        figures.curves_png([], None)
