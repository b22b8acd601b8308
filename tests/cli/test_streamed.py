"""A folder of images through the command line, in memory and from files: the same run."""

import json

import pytest

from tests.cli.photos import write_photos

SPEC = """\
name: photos
data: {source: image_folder, path: photos, resize: 12, batch_size: 8, augment: [shift: 1, flip: horizontal]}
model: {layers: [conv: {features: 4, kernel: 3}, relu, global_avg_pool, dense: classes]}
optimizer: {name: adamw, learning_rate: {peak: 0.01}}
train: {epochs: 2}
"""


@pytest.fixture
def photos(tmp_path, monkeypatch):
    write_photos(tmp_path, (30, 40), ".jpg")
    (tmp_path / "photos.yaml").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(cnnlab, *overrides) -> dict:
    done = cnnlab("train", "photos.yaml", "--json", *overrides)
    assert done.code == 0, done.err
    return {**json.loads(done.out), "err": done.err}


def without_times(history: str) -> list[list[str]]:
    return [row.split(",")[:-2] for row in history.splitlines()]


def test_in_memory_and_from_files(photos, cnnlab):
    inside = trained(cnnlab, "--run", "inside")
    outside = trained(cnnlab, "--run", "outside", "data.memory=1KiB", "data.cache=pixels")
    assert inside["metrics"] == outside["metrics"]
    history, others = ((photos / run / "history.csv").read_text() for run in ("inside", "outside"))
    assert without_times(history) == without_times(others)
    assert (photos / "inside/data.json").read_text() == (photos / "outside/data.json").read_text()
    log = (photos / "outside/log.txt").read_text()
    assert log.count("note: waiting for images takes ") == 1
    assert outside["err"].count("waiting for images takes ") == 1
    assert "waiting for images" not in inside["err"] + (photos / "inside/log.txt").read_text()
    (cached,) = (photos / "pixels").iterdir()
    assert cached.suffix == ".npy"

    again = cnnlab("eval", "outside", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out) == outside["metrics"]
    predictions = (photos / "outside/eval/test/predictions.csv").read_text().splitlines()
    column = predictions[0].split(",").index("file")
    path = photos / "photos" / predictions[1].split(",")[column]
    found = cnnlab("predict", "outside", path, "--json")
    assert found.code == 0, found.err


def test_a_file_that_vanishes_in_the_middle_is_a_sentence(photos, cnnlab, monkeypatch):
    from cnnlab.runs import training

    start = training.start

    def start_and_lose(*arguments, **more):
        for path in (photos / "photos/red").iterdir():
            path.unlink()
        return start(*arguments, **more)

    monkeypatch.setattr(training, "start", start_and_lose)
    done = cnnlab("train", "photos.yaml", "data.memory=1KiB", "--run", "lost")
    assert done.code == 2
    assert "photos/red/" in done.err
    assert "cannot read the image: No such file or directory; repair or remove it" in done.err
    assert json.loads((photos / "lost/status.json").read_text())["status"] == "failed"


def test_a_memory_that_is_none_is_told_with_its_place(photos, cnnlab):
    (photos / "photos.yaml").write_text(SPEC.replace("resize: 12", "memory: 4, resize: 12"))
    done = cnnlab("train", "photos.yaml")
    assert done.code == 2
    assert done.err == ("photos.yaml:2:52: data.memory: must be a number and a unit, such as 512MiB or 2GB, not 4\n")
