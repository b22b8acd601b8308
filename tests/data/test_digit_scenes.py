"""Scenes of digits: mask, boxes and pixels agree, a scene depends on its number alone, splits share no scan."""

from pathlib import Path

import numpy as np
import pytest

from cnnlab.data import digit_scenes
from cnnlab.data.dataset import load
from cnnlab.data.prepare import prepare
from cnnlab.errors import DataError
from cnnlab.spec.data import Digits
from cnnlab.spec.generators import DigitScenes
from cnnlab.spec.split import Split

HERE = Path(".")


def spec(**keys):
    return DigitScenes(source="digit_scenes", **{"examples": 150, **keys})


def make(**keys):
    return load(spec(**keys), HERE)


def boxes_of(data, i):
    boxes = data.targets["boxes"].values[i]
    return boxes[boxes[:, 0] >= 0].astype(int)


def test_what_a_dataset_of_scenes_has():
    data = make(objects=(1, 3))
    names = tuple("0123456789")
    assert (data.x.shape, data.x.dtype, data.classes, data.source) == (
        (150, 64, 64, 1),
        np.uint8,
        names,
        "digit_scenes",
    )
    kinds = data.targets.items()
    shapes = {kind: (target.values.shape, target.values.dtype.name, target.names) for kind, target in kinds}
    assert shapes == {
        "mask": ((150, 64, 64), "uint8", ("background", *names)),
        "boxes": ((150, 3, 5), "float32", names),
        "labels": ((150, 10), "uint8", names),
    }
    assert np.bincount(data.y, minlength=10).min() > 3
    counts = (data.targets["boxes"].values[..., 0] >= 0).sum(1)
    assert set(counts) == {1, 2, 3}


@pytest.mark.parametrize("overlap", [False, True])
def test_mask_boxes_labels_and_pixels_agree(overlap):
    data = make(objects=(1, 4), noise=0, overlap=overlap, background=(0.1, 0.4))
    for i in range(len(data.x)):
        pixels, ids = data.x[i, ..., 0], data.targets["mask"].values[i]
        background = np.unique(pixels[ids == 0])
        assert len(background) == 1
        assert background[0] / 255 + 0.002 >= 0.1
        assert background[0] / 255 <= 0.402
        assert (pixels[ids > 0] > background[0] + 10).all()
        found = boxes_of(data, i)
        assert set(np.unique(ids)) - {0} == {box[-1] + 1 for box in found}
        assert np.flatnonzero(data.targets["labels"].values[i]).tolist() == sorted({box[-1] for box in found})
        covered = np.zeros_like(ids)
        for top, left, bottom, right, label in found:
            covered[top:bottom, left:right] += 1
            inside = ids[top:bottom, left:right] == label + 1
            edges = [inside[0], inside[-1], inside[:, 0], inside[:, -1]]
            assert all(edge.any() for edge in edges)
        assert (covered[ids > 0] > 0).all()
        if not overlap:
            assert covered.max() == 1


def test_one_digit_is_exactly_its_box_and_its_class():
    data = make(noise=0)
    for i, y in enumerate(data.y):
        rows, columns = np.nonzero(data.x[i, ..., 0])
        expected = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1, y]
        assert boxes_of(data, i).tolist() == [expected]
        np.testing.assert_array_equal(data.targets["mask"].values[i], np.where(data.x[i, ..., 0] > 0, y + 1, 0))


def test_the_class_is_that_of_the_digit_with_the_most_pixels():
    data = make(objects=3, noise=0)
    for i, y in enumerate(data.y):
        ids = data.targets["mask"].values[i]
        areas = [(ids[top:bottom, left:right] > 0).sum() for top, left, bottom, right, _ in boxes_of(data, i)]
        assert boxes_of(data, i)[np.argmax(areas), -1] == y


def test_digits_keep_their_scale_and_their_form():
    scans = load(Digits(source="digits"), HERE)
    data = make(scale=4, noise=0, examples=60)
    for i in range(60):
        top, left, bottom, right, _ = boxes_of(data, i)[0]
        seen = data.x[i, top:bottom, left:right, 0]
        pool = digit_scenes._pools(scans, scans.classes)[i]
        random = np.random.Generator(np.random.Philox(key=[0, i]))
        (piece,) = digit_scenes.pieces(spec(scale=4, noise=0), scans.x[..., 0], pool, random)
        assert scans.y[piece.scan] == piece.digit == data.y[i]
        # the scan by mean over 4 x 4 pixels of a canvas that is large enough
        canvas = np.zeros((32, 32))
        for shift in np.ndindex(32 - seen.shape[0] + 1, 32 - seen.shape[1] + 1):
            canvas[:] = 0
            canvas[shift[0] : shift[0] + seen.shape[0], shift[1] : shift[1] + seen.shape[1]] = seen
            small = canvas.reshape(8, 4, 8, 4).mean((1, 3))
            if np.corrcoef(small.ravel(), scans.x[piece.scan].ravel())[0, 1] > 0.97:
                break
        else:
            pytest.fail(f"scene {i} does not show scan {piece.scan}")


@pytest.mark.parametrize("keys", [{}, {"objects": (2, 4), "overlap": True, "background": (0, 0.4)}])
def test_a_scene_depends_on_the_seed_and_its_number_alone(keys):
    data, more, other = make(**keys), make(examples=200, **keys), make(seed=1, **keys)
    assert more.digests[:150] == data.digests
    for kind, target in data.targets.items():
        np.testing.assert_array_equal(more.targets[kind].values[:150], target.values)
    assert more.y[:150].tolist() == data.y.tolist()
    assert not set(other.digests) & set(data.digests)


def test_splits_share_no_scan():
    keys = {"objects": (1, 3), "examples": 400}
    data = spec(**keys, split=Split(train=0.6, validation=0.2, test=0.2))
    prepared = prepare(data, HERE, seed=0)
    scans = load(Digits(source="digits"), HERE)
    pools = digit_scenes._pools(scans, scans.classes)
    used = {}
    for name, indices in prepared.splits.items():
        found = set()
        for i in indices.tolist():
            random = np.random.Generator(np.random.Philox(key=[0, i]))
            pieces = digit_scenes.pieces(data, scans.x[..., 0], pools[i % digit_scenes.POOLS], random)
            assert (
                sorted({piece.digit for piece in pieces})
                == np.flatnonzero(prepared.dataset.targets["labels"].values[i]).tolist()
            )
            found |= {piece.scan for piece in pieces}
        used[name] = found
    assert set(used) == {"train", "validation", "test"}
    assert not used["train"] & used["validation"]
    assert not used["train"] & used["test"]
    assert not used["validation"] & used["test"]
    for name, share in {"train": 0.6, "validation": 0.2, "test": 0.2}.items():
        assert abs(len(prepared.splits[name]) / 400 - share) < 0.03
    assert sorted(scan for pool in pools for scan, _ in pool) == list(range(1797))


def test_only_some_digits():
    data = make(classes=("7", "3"), objects=2)
    assert (data.classes, data.targets["mask"].names) == (("7", "3"), ("background", "7", "3"))
    assert set(data.targets["boxes"].values[..., -1].ravel()) == {0, 1}
    assert data.targets["mask"].values.max() == 2
    with pytest.raises(DataError, match=r"^digit_scenes: data\.classes: no digit 'x'"):
        make(classes=("7", "x"))


def test_masks_and_boxes_follow_a_resize():
    data, large = make(examples=20, noise=0), make(examples=20, noise=0, resize=(128, 192))
    np.testing.assert_array_equal(large.targets["mask"].values, data.targets["mask"].values.repeat(2, 1).repeat(3, 2))
    np.testing.assert_array_equal(
        large.targets["boxes"].values, data.targets["boxes"].values * np.float32([2, 3, 2, 3, 1])
    )


def test_more_digits_than_fit():
    sentence = r"^digit_scenes: 30 digits of up to 24 pixels find no place in 32; give fewer data\.objects, a smaller"
    for overlap in (False, True):
        with pytest.raises(DataError, match=sentence):
            make(objects=30, size=32, overlap=overlap)


def test_too_much_is_told_before_it_is_made(monkeypatch):
    monkeypatch.setattr("cnnlab.data.memory.available_bytes", lambda: 1000)
    with pytest.raises(DataError, match=r"^digit_scenes: 150 scenes of 64 x 64 would take .*; make data\.examples or"):
        make()
