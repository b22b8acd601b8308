"""`cnnlab predict` with segmentations: a mask in each image's own size, of the whole or of tiles."""

import csv
import json
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.dataset import load
from cnnlab.runs import maps
from cnnlab.spec.data import ImageFolder
from tests.conftest import well

HEAD = """\
seed: 1
data:
  source: image_folder
  path: photos
  masks: masks
  mask_classes: [ground, thing]
  channels: 1
  batch_size: 4
  split: {train: 24, validation: 4, test: 4}
"""
UNET = "model: {name: unet, depth: 1, width: 4, padding: PADDING}\n"
TRAIN = "optimizer: {name: adam, learning_rate: 0.02}\ntrain: {epochs: EPOCHS}\n"
SMALL = """\
model:
  layers:
    - conv: {features: 4, kernel: 3}
    - relu
    - conv: {features: 2, kernel: 3}
"""


def scene(random: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright rectangle on dark noise, and its ids."""
    ids = np.zeros((height, width), np.uint8)
    top, left = (int(random.integers(n // 2)) for n in (height, width))
    ids[top : top + height // 2, left : left + width // 2] = 1
    return (random.integers(0, 90, ids.shape) + 130 * ids).astype(np.uint8), ids


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Three runs on 32 images of 24 x 32: "resized" at 12 x 16; "unet", at their size; "valid", which is smaller."""
    folder, random = tmp_path_factory.mktemp("masks"), np.random.default_rng(0)
    for name in ("photos", "masks", "new"):
        (folder / name).mkdir()
    for i in range(32):
        for name, pixels in zip(("photos", "masks"), scene(random, 24, 32), strict=True):
            Image.fromarray(pixels).save(folder / name / f"{i:02}.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene(random, 61, 90)[0]).save(folder / "new" / "large.png")
    Image.fromarray(scene(random, 40, 50)[0]).save(folder / "new" / "turned.jpg", quality=95, exif=exif)
    np.save(folder / "new" / "batch.npy", np.stack([scene(random, 21, 35)[0] for _ in range(2)]))
    specs = {
        "resized": HEAD + "  resize: [12, 16]\n" + SMALL + TRAIN.replace("EPOCHS", "10"),
        "unet": HEAD + UNET.replace("PADDING", "same") + TRAIN.replace("EPOCHS", "12"),
        "valid": HEAD + UNET.replace("PADDING", "valid") + TRAIN.replace("EPOCHS", "4"),
    }
    with chdir(folder):
        for name, text in specs.items():
            Path(f"{name}.yaml").write_text(text)
            well("train", f"{name}.yaml", "--quiet", "--run", name, "--json")
    return folder


@pytest.fixture(autouse=True)
def _there(place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for entry in place.iterdir():
        Path(entry.name).symlink_to(entry)


NEW = ["new/large.png", "new/turned.jpg", "new/batch.npy"]
NAMES = ["large.png", "turned.png", "batch-0.png", "batch-1.png"]
SHAPES = [(61, 90), (50, 40), (21, 35), (21, 35)]


def read(path: str) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "P"
        return np.asarray(image)


def masks(cnnlab, run: str, *arguments) -> list[np.ndarray]:
    ended = cnnlab("predict", run, *NEW, "-o", "out", *arguments)
    assert ended.code == 0, ended.err
    return [read(f"out/{name}") for name in NAMES]


@pytest.mark.parametrize("run", ["resized", "unet"])
def test_masks_have_their_images_size_and_shares_are_theirs(cnnlab, run):
    ended = cnnlab("predict", run, *NEW, "-o", "out", "--overlays")
    assert (ended.code, ended.err) == (0, "")
    assert Path("out/shares.csv").read_text() == ended.out
    rows = list(csv.DictReader(ended.out.splitlines()))
    assert [row["mask"] for row in rows] == [f"out/{name}" for name in NAMES]
    assert [(row["file"], row["index"]) for row in rows] == [*((name, "0") for name in NEW), (NEW[-1], "1")]
    for row, shape in zip(rows, SHAPES, strict=True):
        mask = read(row["mask"])
        assert mask.shape == shape
        assert set(np.unique(mask)) <= {0, 1}
        assert float(row["thing"]) == pytest.approx((mask == 1).mean(), abs=1e-12)
        assert float(row["ground"]) + float(row["thing"]) == pytest.approx(1)
        with Image.open(f"out/overlays/{Path(row['mask']).name}") as overlay:
            assert (overlay.mode, overlay.size) == ("RGB", shape[::-1])
    answers = json.loads(cnnlab("predict", run, *NEW, "--json").out)
    assert [answer["size"] for answer in answers] == [list(shape) for shape in SHAPES]
    assert [answer["shares"]["thing"] for answer in answers] == [float(row["thing"]) for row in rows]
    assert not any("mask" in answer for answer in answers)


def test_masks_lie_on_what_is_seen(cnnlab):
    """Nine of ten pixels of a bright rectangle; turned as the photograph is."""
    for mask, shape in zip(masks(cnnlab, "unet"), SHAPES, strict=True):
        assert mask.shape == shape
    seen = np.asarray(Image.open("new/turned.jpg").transpose(Image.Transpose.ROTATE_270)) > 110
    for name, truth in (("turned", seen), ("large", np.asarray(Image.open("new/large.png")) > 110)):
        assert (read(f"out/{name}.png") == truth).mean() > 0.9


@pytest.mark.parametrize("run", ["resized", "unet", "valid"])
def test_an_image_of_the_data_gets_the_answer_of_eval(cnnlab, run):
    """Of its size: the greatest of the probabilities that the run's own evaluation has, where it has some."""
    assert cnnlab("predict", run, "photos/03.png", "-o", "out").code == 0
    assert cnnlab("predict", run, "photos/03.png", "-o", "values.npz").code == 0
    with np.load("values.npz") as values:
        ids = values["probabilities"][0].argmax(-1).astype(np.uint8)
    mask = read("out/03.png")
    if run == "resized":  # its values are resized before the greatest is taken
        assert (mask == np.asarray(Image.fromarray(ids).resize((32, 24), Image.Resampling.NEAREST))).mean() > 0.95
    lost = (mask.shape[0] - ids.shape[0]) // 2
    if run == "valid":
        assert lost > 0
        mask = mask[lost:-lost, lost:-lost]
    if run != "resized":
        np.testing.assert_array_equal(mask, ids)


@pytest.mark.parametrize("run", ["unet", "valid"])
@pytest.mark.parametrize("tile", [("--tile", 48, "--overlap", 24), ("--tile", 47)])
def test_tiles_are_the_whole(cnnlab, run, tile):
    """Where the overlap is larger than the receptive field, which the default sees to; sizes are odd and even."""
    whole = masks(cnnlab, run)
    assert run == "valid" or all(0 < mask.mean() < 1 for mask in whole)
    assert all((a == b).all() for a, b in zip(whole, masks(cnnlab, run, *tile), strict=True))
    counts = [answer["tiles"] for answer in json.loads(cnnlab("predict", run, *NEW, *tile, "--json").out)]
    assert counts[0] > counts[1] > 1


def test_memory_asks_for_tiles(cnnlab, monkeypatch):
    monkeypatch.setattr(maps, "_memory", lambda: 1_200_000)
    monkeypatch.setattr(maps, "TILE", 40)
    (large, *_, small) = json.loads(cnnlab("predict", "unet", *NEW, "--json").out)
    assert (large["tiles"] > 1, small["tiles"]) == (True, 1)


def test_a_size_of_ones_own(cnnlab):
    """The run that resizes sees images as they are where that is asked for: every pixel by itself."""
    resized, original = (masks(cnnlab, "resized", *size) for size in ((), ("--size", "original")))
    assert [mask.shape for mask in original] == SHAPES
    assert any((a != b).any() for a, b in zip(resized, original, strict=True))


def test_masks_are_what_a_spec_takes_as_masks(cnnlab):
    """Under the names of their images."""
    assert cnnlab("predict", "unet", "photos/00.png", "photos/01.png", "-o", "again", "--overlays").code == 0
    Path("two").mkdir()
    for name in ("00.png", "01.png"):
        Path("two", name).write_bytes(Path("photos", name).read_bytes())
    spec = ImageFolder(source="image_folder", path="two", masks="again", mask_classes=("ground", "thing"))
    found = load(spec, Path()).targets["mask"].values
    np.testing.assert_array_equal(found, [read("again/00.png"), read("again/01.png")])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("valid", NEW[0], "--tile", 3, "--overlap", 1), "--overlap: 1, and tiles of 18 can share 0 at most; give"),
        (("unet", NEW[0], "--tile", 15, "--overlap", 15), "--overlap: 15, and tiles of 16 can share 14 at most; give"),
        (("unet", NEW[0], "-o", "a.txt"), "a.txt: '.txt' is no format of answers; name a folder for masks, or an .npz"),
        (("unet", NEW[0], "-o", "unet.yaml"), "unet.yaml: '.yaml' is no format of answers; name a folder for masks"),
        (("unet", NEW[0], "--overlays"), "--overlays: overlays are written to a folder; name one with -o FOLDER"),
        (("unet", NEW[0], "-o", "a.npz", "--size", "original"), "--size: is for the masks of a run whose task is"),
        (("unet", NEW[0], "--size", "run"), "--size run: the run does not resize its images; leave it out"),
        (("unet", NEW[0], "new/large.bmp", "-o", "out"), "new/large.png and new/large.bmp would both be out/large.png"),
        (("unet", NEW[0], "new/none.png"), "new/none.png: no such file; name images"),
    ],
)
def test_what_cannot_be_is_a_sentence(cnnlab, arguments, sentence):
    ended = cnnlab("predict", *arguments)
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (2, "", 1), ended.err
    assert sentence in ended.err
    assert not Path("out").exists()
