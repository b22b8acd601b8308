"""In memory or in files: the same images, splits, figures and fingerprints."""

import os

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.batches import evaluation_batches, order, training_batch, training_batches
from cnnlab.data.prepare import describe, prepare, restore, splits_csv
from cnnlab.data.stored import StoredImages
from cnnlab.errors import DataError
from cnnlab.spec.data import Csv, ImageFolder

STREAMED = {"memory": "0B"}


@pytest.fixture
def folder(tmp_path):
    """40 JPEGs of two classes in tmp_path/images, one of them twice, and a table of them."""
    random = np.random.default_rng(0)
    rows = ["file,label"]
    for i in range(40):
        name = f"{'ab'[i % 2]}/{i:02}.jpg"
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        low = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        low.resize((50 + i, 40), Image.Resampling.BICUBIC).save(path, quality=90)
        rows.append(f"images/{name},{'ab'[i % 2]}")
    (tmp_path / "images/a/38.jpg").write_bytes((tmp_path / "images/a/00.jpg").read_bytes())
    (tmp_path / "table.csv").write_text("\n".join(rows))
    return tmp_path


def spec(kind: str, **keys):
    keys = {"resize": (12, 10), **keys}
    if kind == "csv":
        return Csv(source="csv", path="table.csv", images="file", labels="label", **keys)
    return ImageFolder(source="image_folder", path="images", **keys)


@pytest.mark.parametrize("kind", ["image_folder", "csv"])
@pytest.mark.parametrize("more", [{}, {"cache": "cache"}, {"channels": 1}, {"classes": ("b", "a")}, {"decode": "full"}])
def test_both_ways_are_one(folder, kind, more):
    inside = prepare(spec(kind, **more), folder, 0)
    outside = prepare(spec(kind, **more, **STREAMED), folder, 0)
    assert isinstance(inside.dataset.x, np.ndarray)
    assert isinstance(outside.dataset.x, StoredImages)
    assert outside.dataset.x.shape == inside.dataset.x.shape == (40, 12, 10, more.get("channels", 3))
    np.testing.assert_array_equal(outside.dataset.x[:], inside.dataset.x)
    assert describe(outside) == describe(inside)  # fingerprints, normalisation and notes among it
    assert splits_csv(outside) == splits_csv(inside)
    shuffled = order(0, 3, inside.counts["train"])
    coming = training_batches(outside, shuffled, 1, 8)
    for i, batch in enumerate(coming, 1):
        for mine, others in zip(batch.result(), training_batch(inside, shuffled, i, 8), strict=True):
            np.testing.assert_array_equal(mine, others)
    assert i == 3
    pairs = zip(evaluation_batches(outside, "test", 4), evaluation_batches(inside, "test", 4), strict=True)
    for mine, others in pairs:
        np.testing.assert_array_equal(mine.x, others.x)


@pytest.mark.parametrize("resize", [{"shorter": 12}, {"longer": 12}])
@pytest.mark.parametrize("decode", ["reduced", "full", "simplejpeg"])
def test_both_ways_are_one_where_the_aspect_stays(folder, resize, decode):
    """In memory, read from the files, from a cache that is written, and from one that is there."""
    if decode == "simplejpeg":
        pytest.importorskip("simplejpeg")
    keys = {"resize": resize, "crop": 9, "decode": decode}
    inside = prepare(spec("image_folder", **keys), folder, 0)
    assert inside.dataset.x.shape == (40, 12, 12, 3)
    for more in ({}, {"cache": "cache"}, {"cache": "cache"}):
        outside = prepare(spec("image_folder", **keys, **STREAMED, **more), folder, 0)
        np.testing.assert_array_equal(outside.seen[:], inside.seen)
        assert describe(outside) == describe(inside)
    other = prepare(spec("image_folder", **{**keys, "resize": 12}, **STREAMED, cache="cache"), folder, 0)
    assert (other.dataset.x[:] != inside.dataset.x).any()  # the cache tells them apart


def test_the_limit_is_exact(folder):
    inside = prepare(spec("image_folder", memory=f"{40 * 12 * 10 * 3}B"), folder, 0)
    outside = prepare(spec("image_folder", memory=f"{40 * 12 * 10 * 3 - 1}B"), folder, 0)
    assert isinstance(inside.dataset.x, np.ndarray)
    assert isinstance(outside.dataset.x, StoredImages)


def test_a_run_is_taken_up_in_the_other_way(folder):
    before = prepare(spec("image_folder", decode="reduced"), folder, 0)
    outside = spec("image_folder", decode="reduced", **STREAMED)
    again = restore(outside, folder, before.splits, describe(before))
    np.testing.assert_array_equal(again.mean, before.mean)


def test_a_run_from_before_there_was_a_choice(folder):
    """Its resolved spec does not say how images are decoded, and they were in full."""
    before = prepare(spec("image_folder", decode="full"), folder, 0)
    restore(spec("image_folder"), folder, before.splits, describe(before))
    with pytest.raises(DataError, match="the data changed since training"):
        restore(spec("image_folder", decode="reduced"), folder, before.splits, describe(before))


@pytest.mark.parametrize("more", [{}, STREAMED, {**STREAMED, "cache": "cache"}])
def test_a_damaged_file_is_told_before_training(folder, more):
    path = folder / "images/b/07.jpg"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"images/b/07\.jpg: cannot read the image"):
        prepare(spec("image_folder", **more), folder, 0)


@pytest.mark.parametrize("more", [{}, STREAMED])
def test_sizes_that_differ(folder, more):
    data = spec("image_folder", **more).model_copy(update={"resize": None})
    with pytest.raises(DataError, match=r"a/00\.jpg is 40 x 50 \(height x width\), and a/02\.jpg is 40 x 52; add"):
        prepare(data, folder, 0)


def test_a_file_that_changes_while_it_is_used(folder):
    x = prepare(spec("image_folder", **STREAMED), folder, 0).dataset.x
    path = folder / "images/a/04.jpg"
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match=r"images/a/04\.jpg: the file was changed while it was being used; leave"):
        x[2]
    path.unlink()
    with pytest.raises(DataError, match=r"images/a/04\.jpg: cannot read the image: No such file or directory"):
        x[:4]
