"""What an entry of `augment` takes: its short form, its keys, and the sentence for what it does not take."""

import pytest

from cnnlab.spec.load import parse

TEXT = "data: {{source: digits, augment: [{{{}}}]}}\nmodel: {{name: lenet5}}\n"


@pytest.mark.parametrize(
    ("entry", "given"),
    [
        ("shift: 2", {"shift": 2}),
        ("flip: both", {"flip": "both"}),
        ("scale: 1.25", {"scale": (0.8, 1.25)}),
        ("scale: [0.5, 2]", {"scale": (0.5, 2)}),
        ("shear: 10", {"shear": 10}),
        ("random_crop: 24", {"random_crop": {"size": 24, "padding": 0}}),
        ("random_crop: [24, 20]", {"random_crop": {"size": (24, 20), "padding": 0}}),
        ("random_crop: {size: 32, padding: 4}", {"random_crop": {"size": 32, "padding": 4}}),
        (
            "random_resized_crop: 8",
            {"random_resized_crop": {"size": 8, "area": (0.08, 1.0), "ratio": (0.75, 4 / 3)}},
        ),
        ("brightness: 0.4", {"brightness": {"strength": 0.4, "probability": 1}}),
        ("hue: {turn: 0.1, probability: 0.8}", {"hue": {"turn": 0.1, "probability": 0.8}}),
        ("blur: 2", {"blur": {"deviation": 2, "probability": 0.5}}),
        ("cutout: 8", {"cutout": {"size": 8, "probability": 1}}),
        ("mixup: 0.4", {"mixup": {"alpha": 0.4, "probability": 1}}),
        ("cutmix: {}", {"cutmix": {"alpha": 1, "probability": 1}}),
        ("rand_augment: {magnitude: 5}", {"rand_augment": {"number": 2, "magnitude": 5}}),
    ],
)
def test_entries(entry, given):
    (found,) = parse(TEXT.format(entry), "s").data.augment
    assert found.model_dump(exclude_none=True) == given
    assert found.word == next(iter(given))


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("scale: 0.5", "scale: must be a factor of at least 1, or a list of the lowest and the highest, not 0.5"),
        ("scale: [2, 1]", "scale: must be a list of the lowest and the highest, not [2, 1]"),
        ("scale: [0, 1]", "scale[0]: must be greater than 0.0, not 0"),
        ("shear: 90", "shear: must be at most 60.0, not 90"),
        ("blur: wide", "blur: must be a number, not 'wide'"),
        ("blur: {probability: 1}", "blur.deviation: required, and not there"),
        ("blur: {deviation: 1, sigma: 2}", "blur.sigma: unknown key (value 2); allowed: deviation, probability"),
        ("hue: 0.6", "hue: must be at most 0.5, not 0.6"),
        ("cutout: {size: 8, probability: 2}", "cutout.probability: must be at most 1.0, not 2"),
        ("cutout: 0", "cutout: must be a whole number from 1, or a list of one per axis, not 0"),
        ("mixup: true", "mixup: must be a number, not true"),
        ("rand_augment: 3", "rand_augment: must be a mapping of keys, not 3"),
        ("rand_augment: {magnitude: 31}", "rand_augment.magnitude: must be at most 30.0, not 31"),
        (
            "random_resized_crop: {size: 8, area: [0.1, 1.5]}",
            "random_resized_crop.area[1]: must be at most 1.0, not 1.5",
        ),
        ("random_crop: {size: 8, paddin: 1}", "random_crop.paddin: unknown key (value 1); did you mean 'padding'?"),
    ],
)
def test_what_entries_do_not_take(refused, entry, sentence):
    assert refused(TEXT.format(entry)).partition(": ")[2] == f"data.augment[0].{sentence}"
