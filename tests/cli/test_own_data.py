"""People's own data from the first day: folders of images, signals, volumes, vectors."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def picture(path: Path, colour: tuple[int, int, int], seed: int) -> None:
    random = np.random.default_rng(seed)
    pixels = np.clip(np.array(colour) + random.integers(-40, 40, (9, 11, 3)), 0, 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


COLOURS = {"red": (200, 50, 50), "green": (50, 200, 50), "blue": (50, 50, 200)}
SPEC = """\
data: {source: image_folder, path: photos, resize: 8, batch_size: 8}
model: {layers: [conv: {features: 8, kernel: 3}, relu, global_avg_pool, dense: classes]}
optimizer: {name: adam, learning_rate: 0.05}
train: {epochs: 8}
"""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("photos.yaml").write_text(SPEC)
    return tmp_path


@pytest.mark.parametrize("splits", [None, ("train", "val", "test"), ("train", "test")])
def test_a_folder_of_images_is_learnt_and_predicted(here, cnnlab, splits):
    for number, (name, colour) in enumerate(COLOURS.items()):
        for i in range(16):
            part = Path("photos") / (splits[i % len(splits)] if splits else "") / name
            picture(part / f"{i:02}.png", colour, 100 * number + i)
    ended = cnnlab("train", "photos.yaml", "--json", "--quiet")
    assert ended.code == 0, ended.err
    metrics = json.loads(ended.out)["metrics"]
    assert metrics["classes"] == ["blue", "green", "red"]  # ids by name, one mapping for all splits
    assert metrics["accuracy"] == 1.0
    rows = list(csv.DictReader(Path("runs/photos/eval/test/predictions.csv").read_text().splitlines()))
    assert all(row["true"] == Path(row["file"]).parent.name == row["predicted"] for row in rows)
    if splits:
        assert all(row["file"].startswith("test/") for row in rows)
    picture(Path("new.jpg"), COLOURS["green"], 9)
    (found,) = csv.DictReader(cnnlab("predict", "runs/photos", "new.jpg").out.splitlines())
    assert found["class"] == "green"


@pytest.mark.parametrize(
    ("shape", "layers", "extra"),
    [
        ((40, 20, 2), "conv: {features: 4, kernel: 5}, relu, max_pool: 2, global_avg_pool", "spatial_axes: 1"),
        ((40, 6, 6, 4, 1), "conv: {features: 4, kernel: [3, 3, 1]}, relu, global_max_pool", "batch_size: 8"),
        ((40, 5), "batch_norm, dense: 8, tanh", "batch_size: 8"),
    ],
    ids=["signals", "volumes", "vectors"],
)
def test_signals_volumes_and_vectors(here, cnnlab, shape, layers, extra):
    random = np.random.default_rng(0)
    y = np.arange(shape[0]) % 2
    x = random.normal(size=shape).astype(np.float32) + y.reshape(-1, *(1,) * (len(shape) - 1))
    np.savez("own.npz", x=x, y=y)
    spec = f"""\
data: {{source: npz, path: own.npz, {extra}}}
model: {{layers: [{layers}, dense: classes]}}
train: {{epochs: 2}}
"""
    Path("own.yaml").write_text(spec)
    checked = cnnlab("check", "own.yaml")
    assert checked.code == 0, checked.err
    assert "x".join(map(str, shape[1:])) in checked.out
    assert cnnlab("train", "own.yaml", "--quiet").code == 0
    np.save("one.npy", x[:3])
    assert len(cnnlab("predict", "runs/own", "one.npy").out.splitlines()) == 4
    fields = cnnlab("receptive-field", "runs/own")
    if len(shape) == 2:
        assert (fields.code, fields.out) == (2, "")
        assert "the input is a vector of 5, without a spatial axis" in fields.err
    else:
        assert fields.code == 0
