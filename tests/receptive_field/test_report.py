"""The report as data and as the versioned JSON document."""

import json

import jax
from flax import nnx

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
        "flags": [],
        "global": False,
    }
    nothing = dict.fromkeys(("size", "stride", "padding", "first_center"))
    pool = first | {"path": "layers.1", "operation": "mean", "output_shape": [1], "flags": ["global"], "global": True}
    assert document == {
        "version": 1,
        "input_shape": [16, 16, 1],
        "exact": True,
        "treated_as_global": [],
        "layers": [first, pool | nothing],
        "model": first,
    }


def test_a_net_that_starts_flat_has_no_line_of_its_own():
    report = receptive_field(nnx.Sequential(Mean(), nnx.Linear(1, 3, rngs=nnx.Rngs(0))), (8, 8, 1))
    assert report.model is None
    assert report.to_json()["model"] is None
