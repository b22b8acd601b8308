"""The report as data and as the versioned JSON document."""

import json

import jax
import pytest
from flax import nnx

from cnnlab.errors import CnnlabError
from cnnlab.receptive_field.advice import advice
from cnnlab.receptive_field.fields import receptive_field


class Mean(nnx.Module):
    def __call__(self, x: jax.Array) -> jax.Array:
        return x.mean((1, 2))


def test_the_document_is_complete_and_plain():
    report = receptive_field(nnx.Sequential(nnx.Conv(1, 1, (3, 3), rngs=nnx.Rngs(0)), Mean()), (16, 16, 1))
    document = report.to_json()
    assert json.loads(json.dumps(document)) == document
    first = {
        "path": "layers.0",
        "operation": "conv",
        "output_shape": [16, 16, 1],
        "size": [3, 3],
        "stride": ["1", "1"],
        "padding": [[1, 1], [1, 1]],
        "first_center": [0.0, 0.0],
        "narrowest": [3, 3],
        "seen": 9 / 256,
        "density": 1.0,
        "flags": [],
        "global": False,
    }
    nothing = dict.fromkeys(("size", "stride", "padding", "first_center", "narrowest"))
    pool = first | {"path": "layers.1", "operation": "mean", "output_shape": [1], "flags": ["global"], "global": True}
    pool["seen"] = 1.0
    assert document == {
        "version": 1,
        "input_shape": [16, 16, 1],
        "exact": True,
        "treated_as_global": [],
        "layers": [first, pool | nothing],
        "model": first,
        "useful_inputs": [[2, 3], [2, 3]],
        "unused": [[], []],
    }


def test_a_net_that_starts_flat_has_no_line_of_its_own():
    report = receptive_field(nnx.Sequential(Mean(), nnx.Linear(1, 3, rngs=nnx.Rngs(0))), (8, 8, 1))
    assert report.model is None
    assert report.to_json()["model"] is None


def conv(kernel: int, stride: int = 1, padding: str = "SAME", dilation: int = 1) -> nnx.Conv:
    return nnx.Conv(1, 1, (kernel, kernel), stride, padding=padding, kernel_dilation=dilation, rngs=nnx.Rngs(0))


def test_a_unit_s_interval_is_clipped_to_the_image_and_null_where_a_map_has_none():
    report = receptive_field(nnx.Sequential(conv(3), conv(3, 4), Mean()), (16, 12, 1))
    document = report.to_json((0, 1))
    assert [layer["unit"] for layer in document["layers"]] == [[[0, 1], [0, 2]], [[0, 3], [3, 7]], [[0, 15], [0, 11]]]
    assert document["model"]["unit"] == [[0, 3], [3, 7]]
    assert report.to_json((5, 0))["layers"][1]["unit"] is None


@pytest.mark.parametrize(
    ("unit", "path", "message"),
    [
        ((4, 0), None, r"--unit 4,0 is outside the map of 4x3 of layer 'layers.1'; units count from 0 to 3,2; --layer"),
        ((0, 3), "layers.1", "--unit 0,3 is outside the map of 4x3"),
        ((0,), None, "--unit 0 does not fit an input with 2 spatial axes; give 2 numbers"),
        ((0, 0), "layers.9", "no layer 'layers.9'; did you mean 'layers."),
    ],
)
def test_a_unit_or_a_layer_that_is_not_there_is_refused(unit: tuple[int, ...], path: str | None, message: str):
    report = receptive_field(nnx.Sequential(conv(3), conv(3, 4)), (16, 12, 1))
    report.check_unit((15, 11), "layers.0")
    with pytest.raises(CnnlabError, match=message):
        report.check_unit(unit, path)


def test_rows_that_no_unit_uses_are_named():
    report = receptive_field(nnx.Sequential(conv(3, 3, "VALID")), (20, 19, 1))
    assert report.unused == (((18, 19),), ((18, 18),))
    holes = receptive_field(nnx.Sequential(conv(1, 3, "VALID")), (8, 7, 1))
    assert holes.unused == (((1, 2), (4, 5), (7, 7)), ((1, 2), (4, 5)))


def test_a_field_that_has_outgrown_the_image_makes_layers_unproductive():
    """The k-th 3x3 has a field of 2k + 1, so that the seventh and those after it start from 13 or more positions."""
    model = nnx.Sequential(*(conv(3) for _ in range(9)))
    report = receptive_field(model, (13, 13, 1))
    assert [i for i, layer in enumerate(report.layers, 1) if "unproductive" in layer.flags] == [7, 8, 9]
    assert report.useful_inputs == ((18, 19), (18, 19))
    assert advice(report) == (
        "3 layers, 'layers.6' to 'layers.8', are unproductive at 13x13: useful inputs start at 18 px",
    )
    assert not any("unproductive" in layer.flags for layer in receptive_field(model, (18, 18, 1)).layers)
    assert advice(receptive_field(model, (40, 40, 1))) == ("the field of 19 px does not cover the image of 40 px",)


def test_saturated_means_that_the_corner_sees_all_too():
    model = nnx.Sequential(*(conv(3) for _ in range(9)))
    flags = [layer.flags for layer in receptive_field(model, (8, 8, 1)).layers]
    assert [i for i, found in enumerate(flags, 1) if "saturated" in found] == [7, 8, 9]


def test_what_is_global_can_be_left_out():
    def gate(x: jax.Array) -> jax.Array:
        return x * x.mean((1, 2), keepdims=True)

    class Gated(nnx.Module):
        def __init__(self):
            self.one, self.other = conv(3), conv(3)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.other(gate(self.one(x)))

    everything = receptive_field(Gated(), (16, 16, 1))
    assert everything.layers[-1].flags == ("global",)
    local = receptive_field(Gated(), (16, 16, 1), ignore_global=True).layers[-1]
    assert local.to_json()["size"] == [5, 5]
    assert local.interval((0, 8)) == ((0, 2), (6, 10))
