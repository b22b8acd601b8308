"""What does not fit the data is said, as a sentence."""

import numpy as np
import pytest

from cnnlab.data.augment import check_augmentations, check_mixtures
from cnnlab.errors import SpecError
from cnnlab.spec.augment import Augmentation

FITS = [
    (
        ["shift: 7", "rotate", "scale", "shear", "flip: both", "noise", "blur", "cutout"],
        (8, 9, 1),
        {"values": (-2.0, 3.0)},
    ),
    (["brightness", "contrast", "saturation", "hue", "rand_augment", "mixup", "cutmix"], (8, 9, 3), {}),
    (["shift: 3", "flip: horizontal", "scale", "noise", "blur", "cutout", "crop", "mixup"], (6, 1), {"crop": (4,)}),
    (["shift: 3", "rotate", "shear", "flip: both", "crop"], (6, 6, 6, 1), {"crop": (4, 4, 4)}),
    (["noise", "mixup"], (5,), {"values": (-2.0, 3.0)}),
    (["shift: 1"], (6, 6, 1), {"crop": (5, 4)}),
    (["crop: 8"], (6, 6, 1), {"crop": (6, 6)}),
    (["resized", "crop"], (9, 9, 1), {"crop": (4, 4)}),
]
WORDS = {
    "rotate": {"rotate": 10},
    "scale": {"scale": 1.1},
    "shear": {"shear": 5},
    "noise": {"noise": 0.1},
    "blur": {"blur": 1},
    "cutout": {"cutout": 2},
    "crop": {"random_crop": 4},
    "crop: 8": {"random_crop": {"size": 6, "padding": 2}},
    "resized": {"random_resized_crop": 5},
    "brightness": {"brightness": 0.1},
    "contrast": {"contrast": 0.1},
    "saturation": {"saturation": 0.1},
    "hue": {"hue": 0.1},
    "rand_augment": {"rand_augment": {}},
    "mixup": {"mixup": 0.2},
    "cutmix": {"cutmix": 1},
}


def entry(word: str) -> Augmentation:
    if word in WORDS:
        return Augmentation.model_validate(WORDS[word])
    key, value = word.split(": ")
    return Augmentation.model_validate({key: int(value) if value.isdigit() else value})


def check(
    entries: list[Augmentation], shape: tuple[int, ...], values: tuple[float, float] = (0.0, 1.0), **more
) -> None:
    x = np.full((2, *shape), values[0], np.float32)
    x[1] = values[1]
    check_augmentations(entries, x, **more)


def test_bytes_are_pixels():
    check_augmentations([entry("brightness")], np.full((2, 8, 8, 1), 200, np.uint8))


@pytest.mark.parametrize(("words", "shape", "more"), FITS)
def test_augmentations_that_fit(words, shape, more):
    check([entry(word) for word in words], shape, **more)


VECTORS = "and the examples are vectors, which have no spatial axis; only noise and mixup fit vectors"


@pytest.mark.parametrize(
    ("given", "shape", "more", "message"),
    [
        ({"shift": 8}, (9, 8, 1), {}, "shift: 8, and the examples are 9 x 8: nothing may be left of them; at most 7"),
        ({"shift": 1}, (5,), {}, f"shift, {VECTORS}"),
        ({"flip": "horizontal"}, (5,), {}, f"flip, {VECTORS}"),
        ({"cutmix": 1}, (5,), {}, f"cutmix, {VECTORS}"),
        ({"rotate": 5}, (9, 1), {}, "rotate, and the examples have one spatial axis; rotate is for images and volumes"),
        ({"shear": 5}, (9, 1), {}, "shear, and the examples have one spatial axis; shear is for images and volumes"),
        ({"rand_augment": {}}, (4, 4, 4, 1), {},
         "rand_augment, and the examples have 3 spatial axes; its operations are for images"),
        ({"rand_augment": {}}, (4, 4, 2), {},
         "rand_augment, and the examples have 2 channels; it is for grey and for coloured images"),
        ({"flip": "vertical"}, (9, 1), {},
         "flip: vertical, and the examples have one spatial axis; flip: horizontal mirrors it"),
        ({"flip": "both"}, (9, 1), {},
         "flip: both, and the examples have one spatial axis; flip: horizontal mirrors it"),
        ({"hue": 0.1}, (9, 9, 1), {}, "hue, and the examples have 1 channel; it is for red, green and blue"),
        ({"saturation": 1}, (9, 9, 4), {},
         "saturation, and the examples have 4 channels; it is for red, green and blue"),
        ({"brightness": 0.1}, (9, 9, 1), {"values": (-1.0, 1.0)},
         "brightness, and the examples' values go from -1 to 1; "
         "it is for uint8 images, or values from 0, black, to 1, white"),
        ({"cutout": [9, 3]}, (8, 8, 1), {},
         "cutout: 9 x 3, and the examples are 8 x 8 there; it can be as large at most"),
        ({"random_crop": 12}, (8, 8, 1), {},
         "random_crop: 12 x 12, and the examples are 8 x 8 there; it can be as large at most"),
    ],
)  # fmt: skip
def test_augmentations_that_do_not_fit(given, shape, more, message):
    entries = [entry("noise"), Augmentation.model_validate(given)]
    with pytest.raises(SpecError) as raised:
        check(entries, shape, **more)
    assert str(raised.value) == f"data.augment[1]: {message}"


@pytest.mark.parametrize(
    ("word", "crop", "message"),
    [
        ("crop", None, "data.augment: training ends with examples of 4 x 4, and evaluation sees 8 x 9; "
                       "give data.crop: [4, 4], or crop to [8, 9]"),
        ("resized", (4, 4), "data.augment: training ends with examples of 5 x 5, and evaluation sees 4 x 4; "
                            "give data.crop: [5, 5], or crop to [4, 4]"),
        ("noise", (9, 9), "data.crop: 9 x 9, and the examples are 8 x 9 there; it can be as large at most"),
    ],
)  # fmt: skip
def test_training_and_evaluation_are_of_one_size(word, crop, message):
    with pytest.raises(SpecError) as raised:
        check([entry(word)], (8, 9, 1), crop=crop)
    assert str(raised.value) == message


def test_areas_of_masks_and_boxes_are_no_shares():
    given = [entry("noise"), entry("cutmix")]
    for target in ("mask", "boxes"):
        message = rf"data\.augment\[1\]: cutmix, and what is learnt is {target}, of which an area is no share; mixup"
        with pytest.raises(SpecError, match=message):
            check_mixtures(given, target)
        check_mixtures([entry("mixup")], target)
    check_mixtures(given, "class")


def test_one_number_per_axis():
    wrong = Augmentation.model_validate({"random_crop": [4, 4, 4]})
    with pytest.raises(SpecError, match=r"data\.augment\[0\]\.random_crop has 3 numbers, \[4, 4, 4\], and the data 2"):
        check([wrong], (8, 9, 1))
