"""The published figures: every spec of experiments/receptive_field keeps what its head promises."""

import re
from pathlib import Path

import pytest

from cnnlab.receptive_field.report import Layer, Report
from cnnlab.runs.network import find_network

FOLDER = Path(__file__).parent.parent.parent / "experiments" / "receptive_field"


def found(name: str, shape: tuple[int, ...] | None = None) -> tuple[Report, Layer]:
    """The report of a spec, and its model's line."""
    report = find_network(FOLDER / f"{name}.yaml", [], shape).fields()
    assert report is not None
    assert report.exact
    assert report.model is not None
    return report, report.model


def row(model: Layer) -> tuple[object, str, int]:
    """Size, stride and padding before, which all axes share."""
    document = model.to_json()
    (size,), (stride,) = {str(size) for size in document["size"]}, set(document["stride"])
    (padding,) = {before for before, _ in document["padding"]}
    return size, stride, padding


@pytest.mark.parametrize(
    "name", [path.stem for path in sorted(FOLDER.glob("*.yaml")) if path.stem not in ("down_up", "oblong")]
)
def test_size_stride_and_padding_are_as_published(name: str):
    head = (FOLDER / f"{name}.yaml").read_text().splitlines()[2]
    match = re.match(r"# Expected: size (\d+), stride (\d+), padding (\d+)", head)
    assert match is not None
    size, stride, padding = match.groups()
    assert row(found(name)[1]) == (size, stride, int(padding))


@pytest.mark.parametrize(("name", "padding"), [("resnet_v1_50", 241), ("resnet_v1_101", 513)])
def test_padding_depends_on_the_input_s_size_where_it_is_same(name: str, padding: int):
    assert row(found(name, (321, 321, 3))[1])[2] == padding


@pytest.mark.parametrize(("name", "seen", "box"), [("cross", 17, 49), ("gridding", 49, 169)])
def test_holes_are_a_share_of_the_box(name: str, seen: int, box: int):
    _, model = found(name)
    assert model.density == seen / box
    assert "gridding" in model.flags
    assert model.units is not None
    assert model.units.support().all()


def test_after_a_transposed_convolution_sizes_alternate():
    assert found("down_up")[1].to_json()["size"] == [[3, 5], [3, 5]]


def test_oblong_kernels_have_oblong_fields():
    document = found("oblong")[1].to_json()
    assert document["size"] == [5, 7]
    assert document["stride"] == ["2", "1"]


def test_wavenet_s_narrowest_path_is_its_input_convolution():
    _, model = found("wavenet")
    assert model.to_json()["narrowest"] == [2]
    assert model.interval((5000,)) == ((3976, 5000),)
    assert model.interval((10,)) == ((0, 10),)


def test_skips_keep_a_resnet_s_narrowest_path_at_the_stem():
    _, model = found("resnet_v1_50")
    assert model.to_json()["narrowest"] == [11, 11]
