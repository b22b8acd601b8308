"""All of a spec's data looked at: everything wrong in one go, the splits those of training."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.check.findings import KINDS, to_csv
from cnnlab.data.check.inspect import inspect
from cnnlab.data.dataset import Dataset, Target
from cnnlab.data.prepare import prepare
from cnnlab.errors import DataError
from cnnlab.spec.data import Csv, Digits, ImageFolder, Npz
from cnnlab.spec.generators import Gaussians
from cnnlab.spec.schema import NoData
from cnnlab.spec.split import Split


def picture(seed: int, size: int = 24) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path) -> Path:
    """train, val, test of two classes, 6, 3 and 3 images each, all different."""
    seed = 0
    for split, count in (("train", 6), ("val", 3), ("test", 3)):
        for name in ("cat", "dog"):
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            for i in range(count):
                picture(seed).save(tmp_path / "photos" / split / name / f"{i}.png")
                seed += 1
    return tmp_path


def look(folder: Path, **keys):
    keys.setdefault("resize", 16)
    return inspect(ImageFolder(source="image_folder", path="photos", **keys), folder, 0)


def said(found):
    return [(f.kind, f.file, f.split, f.label) for f in found.findings]


def test_good_data(photos):
    found = look(photos)
    assert (found.findings, found.errors, found.notes) == ((), 0, ())
    assert [(leak.identical, leak.near) for leak in found.leaks] == [(0, 0)] * 3
    content = found.to_json()
    assert json.loads(json.dumps(content)) == content
    assert content["counts"] == {"train": 12, "validation": 6, "test": 6}
    assert content["counts_per_class"] == {"train": [6, 6], "validation": [3, 3], "test": [3, 3]}
    assert (content["sizes"], content["modes"], content["formats"]) == ({"24x24": 24}, {"RGB": 24}, {"PNG": 24})
    prepared = prepare(ImageFolder(source="image_folder", path="photos", resize=16, batch_size=4), photos, 0)
    for split, indices in prepared.splits.items():
        pixels = prepared.dataset.x[indices].reshape(-1, 3)
        figures = content["statistics"][split]
        np.testing.assert_allclose([figures["mean"], figures["deviation"]], [pixels.mean(0), pixels.std(0)])
        assert [figures["low"], figures["high"]] == [pixels.min(), pixels.max()]


def test_every_bad_file_and_every_duplicate_in_one_go(photos):
    root = photos / "photos"
    picture(0).save(root / "test/cat/leak.png")  # train/cat/0.png
    picture(1).save(root / "val/dog/conflict.png")  # train/cat/1.png
    picture(2).save(root / "train/cat/twice.png")
    picture(3, 31).save(root / "test/cat/near.bmp")  # train/cat/3.png, larger
    (root / "train/dog/empty.jpg").touch()
    (root / "val/cat/text.png").write_text("no image")
    cut = root / "train/dog/cut.jpg"
    picture(50, 64).save(cut)
    cut.write_bytes(cut.read_bytes()[:-200])
    Image.fromarray(np.ones((4, 4), np.float32)).save(root / "train/cat/float.tif")
    Image.new("RGB", (9, 9), "red").save(root / "train/cat/flat.png")
    picture(60).convert("L").save(root / "train/dog/grey.png")
    expected = [
        ("conflicting_labels", "val/dog/conflict.png", "validation", "dog"),
        ("leak", "test/cat/leak.png", "test", "cat"),
        ("unreadable", "val/cat/text.png", "validation", "cat"),
        ("truncated", "train/dog/cut.jpg", "train", "dog"),
        ("empty", "train/dog/empty.jpg", "train", "dog"),
        ("mode", "train/cat/float.tif", "train", "cat"),
        ("near_leak", "test/cat/near.bmp", "test", "cat"),
        ("duplicate", "train/cat/twice.png", "train", "cat"),
        ("other_mode", "train/dog/grey.png", "train", "dog"),
    ]
    found = look(photos)
    assert said(found) == expected
    assert found.errors == 6
    skipping = look(photos, on_bad_file="skip")
    bad = {f.file for f in found.findings if f.kind in ("unreadable", "truncated", "empty", "mode")}
    assert {f.file for f in skipping.findings if f.kind == "skipped"} == bad
    assert skipping.errors == 2
    assert list(KINDS).index("skipped") == list(KINDS).index("near_duplicate") + 1
    lines = to_csv(found.findings).splitlines()
    assert lines[0] == "kind,severity,file,other_file,split,class,what"
    assert (
        lines[2]
        == ('"leak"' if False else "leak,error,test/cat/leak.png,train/cat/0.png,test,cat,")
        + '"is train/cat/0.png, here in test and there in train"'
    )
    assert len(lines) == 1 + len(found.findings)


def test_splits_are_those_of_training_also_where_identical_images_stay_together(tmp_path):
    for i in range(60):
        path = tmp_path / "photos" / "ab"[i % 2] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(i % 50).save(path)
    spec = ImageFolder(source="image_folder", path="photos", resize=16, batch_size=4)
    found, prepared = inspect(spec, tmp_path, 3), prepare(spec, tmp_path, 3)
    assert found.examples is not None
    assert {name: part.tolist() for name, part in found.examples.splits.items()} == {
        name: part.tolist() for name, part in prepared.splits.items()
    }
    assert found.examples.dataset.digests == prepared.dataset.digests
    assert {f.kind for f in found.findings} == {"duplicate"}
    assert len(found.findings) == 10


def test_images_of_several_sizes(photos):
    picture(90, 30).save(photos / "photos/val/cat/large.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(91).resize((20, 24)).save(photos / "photos/val/cat/turned.jpg", exif=exif)
    assert look(photos).findings == ()
    found = look(photos, resize=None)
    assert said(found) == [
        ("size", "val/cat/large.png", "validation", "cat"),
        ("size", "val/cat/turned.jpg", "validation", "cat"),
    ]
    assert found.findings[1].what == "is 20 x 24 (height x width), and most are 24 x 24"


def test_a_tree_that_is_wrong_in_several_places(photos):
    root = photos / "photos"
    (root / "train/fox").mkdir()
    (root / "train/cat/more").mkdir()
    picture(70).save(root / "loose.png")
    (root / "val/emu").mkdir()
    picture(71).save(root / "val/emu/1.png")
    (root / "other").mkdir()
    (root / "val/cat/0.png").write_bytes(b"")
    found = look(photos)
    assert [f.what.split(";")[0] for f in found.findings if f.kind == "data"] == [
        "the folder other/ lies beside train/, and is neither val/ nor test/",
        "images in no class folder: 1, for example loose.png",
        "train/cat/more/ is a folder inside the class 'cat'",
        "the class folder train/fox/ has no image in it",
        "the class 'emu' is in validation, and has no folder in train (cat, dog, fox)",
    ]
    assert said(found)[5:] == [("empty", "val/cat/0.png", "validation", "cat"), ("no_example", "", "", "")]
    assert found.to_json()["counts"] == {"train": 12, "validation": 5, "test": 6}


def test_every_bad_row_of_a_table(photos):
    good = [f"photos/{split}/{name}/{i}.png,{name}" for split in ("train", "val") for name in ("cat", "dog")
            for i in range(3)]  # fmt: skip
    rows = ["file,kind", *good, "photos/gone.png,dog", "photos/train/cat/4.png,", "a,b,c", "photos/train/cat/0.png,cat"]
    (photos / "table.csv").write_text("\n".join(rows))
    found = inspect(Csv(source="csv", path="table.csv", images="file", labels="kind", resize=16), photos, 0)
    assert [(f.kind, f.what.split(";")[0]) for f in found.findings] == [
        ("data", "line 15: the cell of the column 'kind' is empty"),
        ("data", "line 16: 3 cells, and the header has 2"),
        ("data", "line 17: 'photos/train/cat/0.png' stands in line 2 already"),
        ("unreadable", "cannot read the image: No such file or directory"),
    ]
    assert found.examples is not None
    assert len(found.examples.dataset.y) == 12


def test_a_class_of_which_nothing_can_be_read(photos):
    for file in (photos / "photos").glob("*/dog/*"):
        file.write_bytes(b"")
    found = look(photos, on_bad_file="skip")
    assert next(f.what for f in found.findings if f.kind == "data") == "no image of the class 'dog' can be read"
    for file in (photos / "photos").glob("*/cat/*"):
        file.write_bytes(b"")
    found = look(photos)
    assert (found.examples, found.errors, found.to_json()["leakage"]) == (None, 24, [])


def test_arrays(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 9, 9)).astype(np.float32)
    x[3, 0, 0], x[5, 1, 1], x[7] = np.nan, np.inf, 2.5
    np.savez(tmp_path / "own.npz", x=x, y=np.arange(40) % 4, x_test=x[:2], y_test=np.array([0, 2]))
    found = inspect(Npz(source="npz", path="own.npz"), tmp_path, 0)
    assert [(f.kind, f.file, f.other) for f in found.findings] == [
        ("conflicting_labels", "test example 1", "train example 1"),
        ("leak", "test example 0", "train example 0"),
        ("not_finite", "train example 3", ""),
        ("not_finite", "train example 5", ""),
        ("constant", "train example 7", ""),
        ("no_example", "", ""),
    ]
    np.savez(tmp_path / "own.npz", x=x, y=np.arange(40) - 1)
    (finding,) = inspect(Npz(source="npz", path="own.npz"), tmp_path, 0).findings
    assert (finding.kind, finding.what.split(";")[0]) == ("data", "y[0] is -1, and labels go from 0 to 65535")


def test_labels_out_of_range_and_targets_of_any_source(tmp_path, monkeypatch):
    x = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), np.uint8)
    y = np.arange(20, dtype=np.int32) % 2
    y[[4, 9]] = 7, -1
    boxes = np.full((20, 1, 5), [0, 0, 8, 8, 0], np.float32)
    boxes[12, 0, 3] = 9
    dataset = Dataset(x, y, ("a", "b"), targets={"boxes": Target(boxes, ("thing",))})
    monkeypatch.setitem(inspect.__globals__["SOURCES"], "digits", lambda data, base: dataset)
    found = inspect(Digits(source="digits"), tmp_path, 0)
    assert [(f.kind, f.file) for f in found.findings] == [
        ("label_range", "example 4"),
        ("label_range", "example 9"),
        ("box_outside", "example 12"),
    ]
    assert found.findings[0].what == "the label is 7, and there are 2 classes"
    assert found.examples is not None
    assert sum(map(len, found.examples.splits.values())) == 17


def test_one_class_and_splits_that_cannot_be(photos):
    found = look(photos, split=Split(train=0.5, validation=0.5))
    (finding,) = found.findings
    assert finding.what.startswith("the source has validation and test splits of its own")
    assert found.to_json()["counts"] == {"all": 24}
    found = inspect(Gaussians(source="gaussians", examples=3), photos, 0)
    assert [f.kind for f in found.findings] == ["data"]


def test_vectors_signals_and_sources_without_files():
    found = inspect(Gaussians(source="gaussians", examples=100), Path(), 0)
    assert (found.findings, found.to_json()["shape"]) == ((), [2])
    with pytest.raises(DataError, match=r"^data: the spec has no data; give data\.source"):
        inspect(NoData(), Path(), 0)


def test_a_folder_that_is_not_there(tmp_path):
    (finding,) = look(tmp_path).findings
    assert (finding.kind, finding.file) == ("data", str(tmp_path / "photos"))
