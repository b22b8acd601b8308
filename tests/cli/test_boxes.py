"""Images with boxes through the command line: what `data check` tells, what can be learnt of them, and what cannot."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.boxed import write_coco, write_yolo

SPEC = """\
name: boxes
task: multi_label
data: {source: image_folder, path: set, boxes: set, box_classes: [red, green], resize: 12, batch_size: 8}
model: {layers: [conv: {features: 4, kernel: 3}, relu, global_max_pool, dense: classes]}
optimizer: {name: adam, learning_rate: 0.05}
train: {epochs: 8}
"""
COUNTS = {"train": 24, "val": 6, "test": 6}


def scene(random: np.random.Generator) -> tuple[np.ndarray, list]:
    """Up to two squares, red or green, on dark noise; none of them in the other's half."""
    height, width = 24, 32
    pixels, boxes = random.integers(0, 60, (height, width, 3), dtype=np.uint8), []
    for half in (0, 16):
        if random.random() < 0.6:
            label, y, x = int(random.integers(2)), int(random.integers(14)), half + int(random.integers(6))
            pixels[y : y + 10, x : x + 10, label] = 220
            boxes.append((y, x, y + 10, x + 10, label))
    return pixels, boxes


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """36 images in images/train and so on, label files in labels/train, all.json, and specs of both."""
    monkeypatch.chdir(tmp_path)
    random, scenes = np.random.default_rng(0), {}
    for split, count in COUNTS.items():
        (tmp_path / "set/images" / split).mkdir(parents=True)
        for i in range(count):
            pixels, boxes = scene(random)
            name = f"{split}/{split}{i:02}.png"
            Image.fromarray(pixels).save(tmp_path / "set/images" / name)
            scenes[name] = ((24, 32), boxes)
    write_yolo(tmp_path / "set/labels", scenes)
    write_coco(tmp_path / "all.json", scenes)
    Path("boxes.yaml").write_text(SPEC)
    keys = "source: coco, path: set/images, annotations: all.json"
    Path("coco.yaml").write_text(
        SPEC.replace("source: image_folder, path: set, boxes: set, box_classes: [red, green]", keys)
    )
    return tmp_path


def test_what_is_told_before_training(here, cnnlab):
    ended = cnnlab("data", "check", "boxes.yaml")
    assert ended.code == 0
    document = json.loads(cnnlab("data", "check", "boxes.yaml", "--json").out)
    boxes = document["boxes"]
    assert boxes["classes"] == ["red", "green"]
    labels = [path.read_text().split("\n")[:-1] for path in sorted((here / "set/labels/train").iterdir())]
    classes = [[int(line[0]) for line in lines] for lines in labels]
    counted = {
        "objects": [sum(of.count(k) for of in classes) for k in range(2)],
        "images": [sum(k in of for of in classes) for k in range(2)],
        "without": sum(not of for of in classes),
    }
    assert boxes["train"] == counted
    assert document["counts_per_class"]["train"] == counted["images"]
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["objects", "in", "images", "train", "validation", "test"] in lines
    row = next(line for line in lines if line[:1] == ["red"])
    assert row[1:4] == [str(counted["objects"][0]), "in", str(counted["images"][0])]
    checked = cnnlab("check", "boxes.yaml")
    assert next(line.split() for line in checked.out.splitlines() if line.startswith(" red")) == row
    assert json.loads(cnnlab("check", "boxes.yaml", "--json").out)["boxes"]["train"] == counted


BAD = {
    "train/train00": ("1 0.5 0.5 0.2", "annotation", "4 numbers, '1 0.5 0.5 0.2'"),
    "train/train01": ("2 0.5 0.5 0.2 0.2", "box_class", "the class is 2, and there are 2"),
    "train/train02": ("1 0.5 0.5 0 0.2", "box_empty", "the box is 0 wide and 4.8 high"),
    "val/val00": ("1 nan 0.5 0.1 0.2", "not_finite", "the box has a number that is NaN or infinite"),
    "test/test00": ("1 0.5 1 0.25 0.5", "box_outside", "the box goes from x 12 to 20 and y 18 to 30, and the image is "
                                                      "32 wide and 24 high"),
}  # fmt: skip


def test_everything_wrong_in_one_go_or_left_out(here, cnnlab):
    for name, (line, _, _) in BAD.items():
        (here / f"set/labels/{name}.txt").write_text(f"{line}\n")
    (here / "set/labels/train/other.txt").write_text("")
    (here / "set/images/train/train03.png").write_bytes(b"no image")
    ended = cnnlab("data", "check", "boxes.yaml", "--csv", "found.csv")
    assert ended.code == 2
    assert "error    boxes outside the image: 1\n  images/test/test00.png: " in ended.out
    rows = list(csv.DictReader(io.StringIO(Path("found.csv").read_text())))
    found = {(row["kind"], row["file"], row["split"], row["what"]) for row in rows if row["kind"] != "no_example"}
    labels = here / "set/labels"
    splits = {"train": "train", "val": "validation", "test": "test"}
    expected = {
        (kind, f"images/{name}.png", splits[name.split("/")[0]], f"{labels}/{name}.txt:1: {what}")
        for name, (_, kind, what) in BAD.items()
    }
    words = f"{labels}/train/other.txt"
    expected.add(("no_image", words, "", "there is no image for this label file"))
    cannot = "cannot read the image: it is no image that Pillow knows"
    expected.add(("unreadable", "images/train/train03.png", "train", cannot))
    assert found == expected
    ended = cnnlab("data", "check", "boxes.yaml", "data.on_bad_file=skip", "--json")
    document = json.loads(ended.out)
    assert (ended.code, document["examples"]) == (0, 30)
    skipped = {row["file"] for row in document["findings"] if row["kind"] == "skipped"}
    assert skipped == {f"images/{n}.png" for n in (*BAD, "train/train03")}


def test_boxes_alone_are_learnt_by_no_task_and_that_is_a_sentence(here, cnnlab):
    sentence = "task: the data has boxes, and no task learns where objects are; task: multi_label learns which classes "
    for command in ("train", "check"):
        ended = cnnlab(command, "boxes.yaml", "task=null")
        assert (ended.code, ended.out) == (2, "")
        assert [line for line in ended.err.splitlines() if not line.startswith("note: ")] == [
            f"{sentence}are in an image"
        ]
    ended = cnnlab("train", "boxes.yaml", "task=regression")
    assert ended.err.splitlines()[-1] == (
        "task: regression learns values, and the data has boxes, labels alone; choose a task that fits the data"
    )


def test_which_classes_are_there_is_learnt_whole_or_from_files(here, cnnlab):
    runs = {}
    for name, keys in (("whole", ()), ("stored", ("data.memory=1KiB",))):
        ended = cnnlab("train", "boxes.yaml", "--quiet", "--json", "--run", name, *keys)
        assert ended.code == 0, ended.err
        runs[name] = json.loads(ended.out)["metrics"]
    assert runs["whole"] == runs["stored"]
    assert (runs["whole"]["labels"], runs["whole"]["accuracy"] > 0.9) == (["red", "green"], True)
    data = json.loads((here / "whole/data.json").read_text())
    assert data == json.loads((here / "stored/data.json").read_text())
    assert data["targets"]["boxes"]["examples"] == data["targets"]["labels"]["counts"]
    ended = cnnlab("eval", "stored", "--json")
    assert json.loads(ended.out) == runs["whole"]
    (here / "set/labels/train/train00.txt").write_text("0 0.5 0.5 0.9 0.9\n")
    ended = cnnlab("eval", "whole")
    assert (ended.code, "what there is to learn changed since training" in ended.err) == (2, True)


def test_coco_is_drawn_split_and_held_against_the_field(here, cnnlab):
    ended = cnnlab("check", "coco.yaml", "data.split={train: 0.5, test: 0.5}", "model.layers[3]={dense: 3}", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["counts"] == {"train": 18, "test": 18}
    assert cnnlab("data", "preview", "coco.yaml", "-o", "sheet.png", "--examples", 2).code == 0
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 100
    ended = cnnlab("receptive-field", "coco.yaml", "--against-data")
    assert "the objects in your data (90th percentile 5x3.8 px) are larger than the 3x3 px field" in ended.out
    (here / "set/images/val/val00.png").unlink()
    ended = cnnlab("data", "check", "coco.yaml")
    assert ended.code == 2
    assert f"  val/val00.png: {here}/all.json: images[24]: there is no file val/val00.png" in ended.out
