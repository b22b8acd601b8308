"""`cnnlab receptive-field` with gradients and pictures."""

import json
import re
from pathlib import Path

import pytest

from cnnlab.cli.arguments import with_value


def test_an_option_may_stand_without_its_number():
    given = [["--effective"], ["--effective", "spec.yaml"], ["--effective", "8"], ["--effective", "-1"], ["eval"]]
    made = [with_value(arguments, "--effective", "32") for arguments in given]
    assert made == [["--effective", "32"], ["--effective", "32", "spec.yaml"], *given[2:]]


def test_the_gradient_of_a_spec_and_its_picture(small, cnnlab):
    ended = cnnlab("receptive-field", small, "--effective", 4, "--plot", "fields.png")
    assert ended.code == 0, ended.err
    assert "gradient of max_pool_3 at the unit 1,1, over 4 random inputs:" in ended.out
    assert "sigma" in ended.out
    assert Path("fields.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads(cnnlab("receptive-field", small, "--effective", 4, "--json").out)
    assert document["effective"]["path"] == document["model"]["path"]
    shares = [held["share"] for held in document["effective"]["held"]]
    assert shares == [0.2, 0.3, 0.5, 0.95, 0.99]
    assert "effective" not in json.loads(cnnlab("receptive-field", small, "--json").out)


def test_a_run_s_gradient_before_and_after_training(uninterrupted, cnnlab):
    ended = cnnlab("receptive-field", uninterrupted, "--effective", 4, "--plot", "change.svg")
    assert ended.code == 0, ended.err
    assert "initially, sigma" in ended.out
    assert "trained, sigma" in ended.out
    assert "<svg" in Path("change.svg").read_text()
    document = json.loads(cnnlab("receptive-field", uninterrupted, "--effective", 4, "--json").out)
    assert set(document["effective"]) >= {"initial", "trained", "sigma_ratio"}


def test_a_layer_of_one_s_choice_with_its_holes_on_an_image_of_one_s_own(small, cnnlab, tmp_path):
    from PIL import Image

    Image.new("L", (6, 6), 128).save("grey.png")
    layers = "model.layers=[{conv: {features: 2, kernel: 2, dilation: 3}}, flatten, {dense: classes}]"
    arguments = ("--layer", "conv_0", "--unit", "0,0", "--image", "grey.png", "--plot", "holes.svg")
    ended = cnnlab("receptive-field", small, layers, *arguments)
    assert ended.code == 0, ended.err
    assert "<svg" in Path("holes.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--plot", "fields.jpg"], "fields.jpg: '.jpg' is no kind of picture that can be drawn; name a .png or .svg"),
        (["--image", "x.png"], "--image x.png is for a picture; name its file: --plot fields.png"),
        (["--effective", "0"], "Invalid value for '--effective'"),
        (["--effective", "--layer", "conv_1"], "no layer 'conv_1'; did you mean 'conv_0'?"),
        (["--plot", "a.png", "--unit", "9,9"], "--unit 9,9 is outside the map of 3x3"),
        (["--plot", "a.png", "--image", "none.png"], "none.png"),
        (["--plot", "a.png", "model.layers=[global_avg_pool, {dense: classes}]"], "there is no bounded field to draw"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(small, cnnlab, arguments, said):
    ended = cnnlab("receptive-field", small, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert "Traceback" not in ended.err


SCENES = """data: {source: digit_scenes, examples: 40, size: 32, scale: 1}
task: segmentation
model: {layers: [conv: {features: 4, kernel: 3}, conv: {features: 11, kernel: 1}]}
"""


def test_the_field_stands_beside_the_objects_in_the_data(cnnlab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("scenes.yaml").write_text(SCENES)
    ended = cnnlab("receptive-field", "scenes.yaml", "--against-data")
    line = r"the objects in your data \(90th percentile 8x[678] px\) are larger than the 3x3 px field; 0% of \d+ fit"
    assert re.search(rf"^{line}$", ended.out, re.MULTILINE), ended.out
    found = json.loads(cnnlab("receptive-field", "scenes.yaml", "--against-data", "--json").out)["objects"]
    assert found["field"] == [3, 3]
    assert found["fitting"] == 0
    assert found["largest"][0] == 8
    Path("wider.yaml").write_text(SCENES.replace("kernel: 3", "kernel: 17"))
    ended = cnnlab("receptive-field", "wider.yaml", "--against-data")
    assert "fit into the 17x17 px field; 100% of " in ended.out


def test_data_without_boxes_or_masks_is_told(cnnlab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("digits.yaml").write_text("data: {source: digits}\nmodel: {name: lenet5}\n")
    ended = cnnlab("receptive-field", "digits.yaml", "--against-data", "data.resize=32")
    assert ended.code == 2
    assert ended.err.startswith("digits.yaml: --against-data: the data (digits) has neither boxes nor masks; ")
