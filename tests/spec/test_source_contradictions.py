"""Keys of a source that contradict each other: a sentence at the place of one of them."""

import pytest

from cnnlab.spec.dump import to_yaml
from cnnlab.spec.load import parse

MODEL = "\nmodel: {name: lenet5}\n"
CSV = "source: csv, path: x, images: a, labels: b"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("source: digit_scenes, size: 32, ^scale: [1, 4.1]",
         "data.scale: 8 pixels 4.1 times are 33, more than data.size, 32"),
        ("^source: csv, path: x, labels: b",
         "data.source: csv takes images (a column of files) or features (columns of numbers), not neither"),
        ("^source: csv, path: x, labels: b, images: a, features: c",
         "data.source: csv takes images (a column of files) or features (columns of numbers), not both"),
        ("^source: csv, path: x, images: a",
         "data.source: csv needs something to learn: labels, values, masks or boxes"),
        ("source: csv, path: x, images: a, values: b, ^label_separator: ';'",
         "data.label_separator: it divides the cells of one column: labels must name that one"),
        ("source: csv, path: x, images: a, labels: [b, c], ^label_separator: ';'",
         "data.label_separator: it divides the cells of one column: labels must name that one"),
        ("source: csv, path: x, features: a, labels: b, ^masks: c",
         "data.masks: masks is for images, and data.features are numbers"),
        ("source: csv, path: x, features: a, labels: b, ^boxes: {x0: c, y0: d, x1: e, y1: f, label: g}",
         "data.boxes: boxes is for images, and data.features are numbers"),
        ("source: csv, path: x, features: a, labels: b, ^resize: 8",
         "data.resize: resize is for images, and data.features are numbers"),
        ("source: csv, path: x, features: a, labels: b, ^channels: 1",
         "data.channels: channels is for images, and data.features are numbers"),
        ("source: csv, path: x, features: a, labels: b, ^memory: 1GiB",
         "data.memory: memory is for images, and data.features are numbers"),
        ("source: csv, path: x, features: a, labels: b, ^cache: c",
         "data.cache: cache is for images, and data.features are numbers"),
        ("source: csv, path: x, ^features: [a, b], labels: b",
         "data.features: the column 'b' is to be learnt, and cannot be given too"),
        ("source: csv, path: x, ^features: [a, b], values: [c, a], labels: d",
         "data.features: the column 'a' is to be learnt, and cannot be given too"),
        (f"{CSV}, ^mask_classes: [a, b]", "data.mask_classes: mask_classes is for masks, and data.masks is not there"),
        (f"{CSV}, masks: c, mask_classes: [a, b], ^mask_values: [0, 1, 2]",
         "data.mask_values: 3 values for the 2 names of data.mask_classes"),
        ("source: image_folder, path: x, ^mask_values: [0, 255]",
         "data.mask_values: mask_values is for masks, and data.masks is not there"),
        ("source: image_folder, path: x, ^box_classes: [a]",
         "data.box_classes: box_classes is for boxes, and data.boxes is not there"),
        ("^source: coco, path: x", "data.source: coco takes annotations (one JSON), or train and others beside it, not "
                                  "none"),
        ("^source: coco, path: x, annotations: a, test: b",
         "data.source: coco takes annotations (one JSON), or train and others beside it, not annotations and test"),
        ("^source: coco, path: x, validation: b",
         "data.source: coco takes annotations (one JSON), or train and others beside it, not validation"),
        ("source: function, function: step, ^frequency: 2",
         "data.frequency: frequency is for the sine, and data.function is step"),
        ("source: function, ^coefficients: [1]",
         "data.coefficients: coefficients is for the polynomial, and data.function is sine"),
    ],
)  # fmt: skip
def test_keys_of_a_source_that_contradict_each_other(refused_at, text, sentence):
    assert refused_at(f"data: {{{text}}}{MODEL}") == sentence


@pytest.mark.parametrize(
    "text",
    [
        f"{CSV}, masks: c, values: [d, e], mask_values: [0, 255]",
        "source: csv, path: x, features: [a, b], labels: [c, d]",
        "source: digit_scenes, size: 32, scale: 4",
        "source: function, function: polynomial, coefficients: [1, 2]",
    ],
)
def test_what_goes_together(text):
    experiment = parse(f"data: {{{text}}}{MODEL}", "spec.yaml")
    assert parse(to_yaml(experiment), "resolved.yaml") == experiment  # with every default
