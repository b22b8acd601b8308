"""Data as it is found on disks, through the command line: a sentence, or a skip with a count; never a wrong label."""

import csv
import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SPEC = """\
data: {source: image_folder, path: photos, resize: 8, batch_size: 4}
model: {layers: [flatten, dense: classes]}
train: {epochs: 1}
"""
AS_ROOT = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read and write everything")


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    """Two classes, 20 images each, red and blue."""
    monkeypatch.chdir(tmp_path)
    for i in range(40):
        path = Path("photos") / ("blue", "red")[i % 2] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 80, (8, 8, 3), dtype=np.uint8)
        pixels[..., (2, 0)[i % 2]] += 150
        Image.fromarray(pixels).save(path)
    Path("spec.yaml").write_text(SPEC)
    return Path("photos")


@pytest.fixture
def refused(cnnlab, photos):
    """The sentence that a spec's data is refused with, without the folder's path."""

    def run(*overrides: str) -> str:
        ended = cnnlab("check", "spec.yaml", *overrides)
        assert (ended.code, ended.out) == (2, ""), ended.err
        assert "Traceback" not in ended.err
        assert len(ended.err.splitlines()) == 1
        return ended.err.strip().replace(f"{Path.cwd()}/", "")

    return run


def bomb(path: Path) -> None:
    """A PNG of 30,000 x 30,000 pixels, one bit each, in a few hundred kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(1)
    rows = b"\0" * 3751 * 1000
    pixels = b"".join([*(packer.compress(rows) for _ in range(30)), packer.flush()])
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def truncated(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:-300])


BAD = {
    "truncated.jpg": (truncated, "image file is truncated"),
    "empty.png": (Path.touch, "the file is empty"),
    "text.png": (lambda path: path.write_text("hello"), "it is no image that Pillow knows"),
    "bomb.png": (bomb, "more than 89,478,485 pixels"),
    "loop.png": (lambda path: path.symlink_to(path.name), os.strerror(40)),
    "gone.png": (lambda path: path.symlink_to("nowhere.png"), "No such file or directory"),
    "pipe.png": (os.mkfifo, "it is a pipe"),
    "a new\nline é.png": (Path.touch, "the file is empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_a_sentence(photos, refused, name):
    make, reason = BAD[name]
    make(photos / "red" / name)
    found = refused()
    assert found.startswith(f"photos/red/{name}: ".replace("\n", "\\n"))
    assert reason in found


def test_bad_files_are_skipped_listed_and_no_label_changes(photos, cnnlab):
    for name, (make, _) in BAD.items():
        make(photos / "blue" / name)
    ended = cnnlab("train", "spec.yaml", "data.on_bad_file=skip")
    assert ended.code == 0, ended.err
    assert f"{len(BAD)} of {40 + len(BAD)} files are skipped, for example blue/a new\\nline é.png" in ended.err
    description = json.loads(Path("runs/spec/data.json").read_text())
    assert {Path(row["file"]).name for row in description["skipped"]} == set(BAD)
    assert all(any(why in row["reason"] for _, why in BAD.values()) for row in description["skipped"])
    assert description["classes"] == ["blue", "red"]
    with Path("runs/spec/splits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    assert all(Path(row["file"]).parent.name == row["class"] for row in rows)
    assert cnnlab("eval", "runs/spec").code == 0
    ended = cnnlab("data", "check", "spec.yaml")
    assert ended.code == 2
    errors = [row for row in json.loads(cnnlab("data", "check", "spec.yaml", "--json").out)["findings"]
              if row["severity"] == "error"]  # fmt: skip
    assert {Path(row["file"]).name for row in errors} == set(BAD)  # all of them, not the first


def test_names_of_any_kind_are_trained_and_kept(photos, cnnlab):
    (photos / "red").rename(photos / "röt und blaß")
    for i, name in enumerate(("a b.png", "ü'\"x.png", "line\nfeed.png", "comma,semi;.PNG", "日本.png")):
        (photos / "röt und blaß" / f"{2 * i + 1:02}.png").rename(photos / "röt und blaß" / name)
    ended = cnnlab("train", "spec.yaml", "--quiet", "--json")
    assert ended.code == 0, ended.err
    with Path("runs/spec/splits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["file"] for row in rows} >= {"röt und blaß/line\nfeed.png", "röt und blaß/日本.png"}
    assert all(str(Path(row["file"]).parent) == row["class"] for row in rows)
    assert cnnlab("eval", "runs/spec", "--split", "train").code == 0


def test_a_name_that_is_not_utf_8(photos, refused):
    try:
        Path(os.fsdecode(b"photos/red/caf\xe9.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    assert refused() == (
        "photos/red/caf\\udce9.png: the name is not UTF-8; rename it: a run writes down the names of its files"
    )


def test_links_that_go_in_a_circle(photos, refused):
    Path("circle").symlink_to("circle")
    assert refused("data.path=circle").startswith("circle: no such file or folder")
    (photos / "red" / "back").symlink_to("..")
    assert refused().startswith("photos: red/back/ is a folder inside the class 'red'")
    (photos / "red" / "back").unlink()
    (photos / "again").symlink_to(".")
    assert refused().startswith("photos: again/again/ is a folder inside the class 'again'")


def test_a_folder_named_like_an_image(photos, refused):
    (photos / "red" / "folder.png").mkdir()
    assert refused().startswith("photos: red/folder.png/ is a folder inside the class 'red'")


def test_a_class_folder_with_nothing_in_it(photos, refused):
    (photos / "green").mkdir()
    assert refused() == "photos: the class folder green/ has no image in it; add images, or remove the folder"


@AS_ROOT
def test_what_may_not_be_read(photos, refused):
    (photos / "red" / "01.png").chmod(0)
    assert refused().startswith("photos/red/01.png: cannot read the image: Permission denied")
    (photos / "red").chmod(0)
    assert refused().startswith("photos/red: cannot be read: Permission denied")
    (photos / "red").chmod(0o755)


def test_a_folder_that_cannot_be_listed(photos, refused, monkeypatch):
    listed = Path.iterdir

    def iterdir(self: Path):
        if self.name == "red":
            raise PermissionError(13, "Permission denied", str(self))
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert refused() == "photos/red: cannot be read: Permission denied; see its permissions"


def test_a_read_only_folder_of_data(photos, cnnlab):
    for path in (photos, *photos.iterdir()):
        path.chmod(0o555)
    before = sorted(photos.rglob("*"))
    assert cnnlab("train", "spec.yaml", "--quiet").code == 0
    assert sorted(photos.rglob("*")) == before
    for path in (photos, *photos.iterdir()):
        path.chmod(0o755)


@AS_ROOT
def test_a_read_only_place_for_runs(photos, cnnlab):
    Path.cwd().chmod(0o555)
    ended = cnnlab("train", "spec.yaml", "--quiet")
    Path.cwd().chmod(0o755)
    assert ended.code == 2
    assert "runs/spec: cannot be made: Permission denied" in ended.err


def test_a_table_from_another_system(photos, cnnlab):
    rows = [f'"photos/{("blue", "red")[i % 2]}/{i:02}.png";'.replace(";", f',"col, {("blue", "red")[i % 2]}"')
            for i in range(40)]  # fmt: skip
    Path("table.csv").write_bytes(("\ufefffile,kind\r\n" + "\r\n".join(rows) + "\r\n").encode())
    table = "data={source: csv, path: table.csv, images: file, labels: kind, resize: 8, batch_size: 4}"
    document = json.loads(cnnlab("data", "check", "spec.yaml", table, "--json").out)
    assert (document["classes"], document["errors"]) == (["col, blue", "col, red"], 0)
    assert sum(map(sum, document["counts_per_class"].values())) == 40
