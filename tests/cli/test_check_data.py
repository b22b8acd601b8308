"""`cnnlab data check`: the tables at 80 columns, JSON, CSV, exit codes."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SPEC = """\
data: {source: image_folder, path: photos, resize: 16, batch_size: 4}
model: {layers: [flatten, dense: classes]}
"""


def picture(seed: int) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((24, 24), Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for seed in range(24):
        split, name = ("train", "train", "val", "test")[seed % 4], ("cat", "dog")[seed // 4 % 2]
        path = Path("photos") / split / name / f"{seed:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(seed).save(path)
    Path("photos.yaml").write_text(SPEC)
    return Path("photos")


def test_good_data(photos, cnnlab):
    ended = cnnlab("data", "check", "photos.yaml")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].endswith("photos: 24 examples of 16x16x3, 2 classes (image_folder)")
    assert lines[1] == "no leakage: no example of a split is in another one, or looks like one there"
    assert lines[-1] == "0 errors, 0 warnings: nothing stands against training"
    assert "sizes    24 24x24" in lines


def test_leakage_is_the_headline(photos, cnnlab):
    picture(0).save(photos / "test/cat/copy\nof.png")
    picture(1).save(photos / "train/cat/twice.png")
    ended = cnnlab("data", "check", "photos.yaml", "--csv", "found/data.csv")
    assert (ended.code, ended.err) == (2, "")
    lines = ended.out.splitlines()
    assert lines[1] == "LEAKAGE: 1 (14.3%) of the 7 test examples are in train too"
    assert lines[3:7] == [
        "error    identical, in another split: 1",
        "  test/cat/copy\\nof.png: is train/cat/00.png, here in test and there in train",
        "warning  identical, in the same split: 1",
        "  train/cat/twice.png: is train/cat/01.png",
    ]
    assert lines[-1] == "1 error, 1 warning: training would stop or be wrong"
    with Path("found/data.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["kind"], row["severity"], row["file"], row["other_file"]) for row in rows] == [
        ("leak", "error", "test/cat/copy\nof.png", "train/cat/00.png"),
        ("duplicate", "warning", "train/cat/twice.png", "train/cat/01.png"),
    ]
    document = json.loads(cnnlab("data", "check", "photos.yaml", "--json").out)
    assert document["leakage"][1] == {"split": "test", "earlier": "train", "examples": 7, "identical": 1, "near": 0}
    assert [row["kind"] for row in document["findings"]] == ["leak", "duplicate"]


def test_images_that_look_alike_are_a_warning(photos, cnnlab):
    picture(0).resize((40, 40)).save(photos / "val/cat/larger.png")
    ended = cnnlab("data", "check", "photos.yaml")
    assert ended.code == 0
    assert "possible leakage: 1 (14.3%) look like one in train, of the 7 validation examples" in ended.out


def test_bad_files_stop_unless_they_are_skipped(photos, cnnlab):
    (photos / "train/cat/empty.png").touch()
    ended = cnnlab("data", "check", "photos.yaml")
    assert ended.code == 2
    assert "error    files of no bytes: 1\n  train/cat/empty.png: cannot read the image: the file is empty" in ended.out
    ended = cnnlab("data", "check", "photos.yaml", "data.on_bad_file=skip")
    assert ended.code == 0
    assert "warning  cannot be read and are skipped: 1" in ended.out


def test_a_wrong_spec_and_no_data_are_a_sentence(photos, cnnlab):
    ended = cnnlab("data", "check", "photo.yaml")
    assert ended == (2, "", "photo.yaml: no such spec file; did you mean 'photos.yaml'?\n")
    Path("alone.yaml").write_text("model: {name: lenet5, input: [32, 32, 1]}\n")
    ended = cnnlab("data", "check", "alone.yaml")
    assert (ended.code, ended.err.startswith("data: the spec has no data; ")) == (2, True)


def test_eighty_columns_are_enough(photos):
    script = "import os, pty; pty.spawn(['sh', '-c', 'stty cols 80; exec \"$0\" \"$@\"', *__import__('sys').argv[1:]])"
    call = "from cnnlab.cli import command; command()"
    picture(1).save(photos / "train/dog/other.png")
    command = [sys.executable, "-c", script, sys.executable, "-c", call, "data", "check", "photos.yaml"]
    root = str(Path(__file__).parents[2])
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": root, "COLUMNS": "80", "TERM": "dumb"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    lines = done.stdout.splitlines()
    assert any(line.startswith(" class") for line in lines), done.stdout + done.stderr
    assert max(map(len, lines)) <= 80
