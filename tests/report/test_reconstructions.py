"""The picture of reconstructions: any kind of input, a column an example."""

import io

import numpy as np
import pytest
from PIL import Image

from cnnlab.report.reconstructions import _chosen, reconstructions_png

RANDOM = np.random.default_rng(0)


def size(png: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(png)).size


@pytest.mark.parametrize("shape", [(5,), (20, 1), (6, 6, 1), (6, 6, 3), (6, 6, 2), (4, 6, 6, 1)])
def test_every_kind_of_input_is_drawn(shape):
    x = RANDOM.normal(size=(3, *shape)).astype(np.float32)
    shown, errors = {"x": x, "reconstruction": 0.5 * x}, np.array([0.1, 0.2, 0.3])
    without = reconstructions_png(shown, errors, "test")
    named = reconstructions_png({**shown, "given": x + 1}, errors, "test", ["$a", "b", "c"])
    assert size(named)[1] > size(without)[1], "a row more"
    assert reconstructions_png(shown, errors, "test") == without


def test_constant_inputs_are_drawn_too():
    x = np.zeros((1, 4, 4, 1), np.float32)
    assert reconstructions_png({"x": x, "reconstruction": x}, np.zeros(1), "test").startswith(b"\x89PNG")


def test_normal_ones_and_anomalies_stand_side_by_side():
    assert _chosen(30, None) == list(range(10))
    assert _chosen(3, None) == [0, 1, 2]
    strange = np.arange(40) % 4 != 0
    assert _chosen(40, strange) == [0, 4, 8, 12, 16, 1, 2, 3, 5, 6]
    assert _chosen(8, strange) == [0, 4, 1, 2, 3, 5, 6, 7]
    assert _chosen(40, np.arange(40) < 2) == [2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert _chosen(40, np.ones(40, bool)) == list(range(10))


def test_an_anomaly_is_in_colour():
    x = np.zeros((2, 4, 4, 1), np.float32)
    shown = {"x": x, "reconstruction": x}
    pixels = [
        np.asarray(Image.open(io.BytesIO(reconstructions_png(shown, np.ones(2), "test", None, np.array(of)))))
        for of in ([False, True], [False, False])
    ]
    orange = [((each[..., 0].astype(int) - each[..., 2]) > 100).sum() for each in pixels]
    assert orange[0] > 20
    assert orange[1] == 0
