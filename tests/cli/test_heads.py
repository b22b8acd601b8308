"""Several heads from a spec to tables, pictures and answers: which digit, where it is, and the image without noise."""

import csv
import json
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from flax import nnx
from PIL import Image

from cnnlab.errors import SpecError
from cnnlab.runs.directory import Run
from cnnlab.runs.maps import segmenting
from cnnlab.runs.predictor import Predictor
from cnnlab.spec.losses import CrossEntropy
from cnnlab.tasks.heads import Head, SeveralHeads
from cnnlab.tasks.segmentation import Segmentation
from tests.conftest import well

SPEC = """\
task:
  name: heads
  heads:
    digit:
      task: classification
      layers: [conv: {features: 8, kernel: 3, stride: 2}, batch_norm, relu, global_max_pool, dense: classes]
    place:
      task: segmentation
      weight: 0.5
      layers: [conv: {features: 11, kernel: 1}]
    image:
      task: {name: reconstruction, corruption: {gaussian: 0.5}}
      layers: [conv: {features: 1, kernel: 3}]
data: {source: digit_scenes, examples: 60, size: 16, scale: 1.5, batch_size: 16, augment: [shift: 1]}
model: {name: unet, depth: 1, width: 4, padding: same}
optimizer: {learning_rate: 0.01}
train: {epochs: 2, early_stopping: {metric: validation/digit/accuracy, patience: 2}}
"""
# On a trunk of its own, with a code, and without the head that segments.
TRUNK = "{name: unet, depth: 1, width: 4, padding: same}"
STUDENT = SPEC.replace(TRUNK, "{layers: [{conv: {features: 4, kernel: 3}, name: code}]}")
STUDENT = STUDENT[: STUDENT.index("    place:")] + STUDENT[STUDENT.index("    image:") :]
STUDENT += "distill: {teacher: runs/scenes, weight: 0.75}\n"
CLASSES = ["background", *map(str, range(10))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The run `scenes`, its student, and two images of other sizes."""
    folder = tmp_path_factory.mktemp("heads")
    random = np.random.default_rng(0)
    (folder / "scenes.yaml").write_text(SPEC)
    (folder / "student.yaml").write_text(STUDENT)
    for name, size in (("wide", (30, 41)), ("small", (16, 16))):
        Image.fromarray(random.integers(0, 256, size, dtype=np.uint8)).save(folder / f"{name}.png")
    np.save(folder / "x.npy", np.zeros((2, 16, 16, 1), np.uint8))
    with chdir(folder):
        well("train", "scenes.yaml")
        well("train", "student.yaml", "--quiet")
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    for entry in folder.iterdir():
        Path(entry.name).symlink_to(entry)


def test_a_run_has_the_tables_of_all(cnnlab):
    ended = cnnlab("eval", "runs/scenes")
    assert ended.code == 0, ended.err
    assert "by validation/digit/accuracy" in ended.out
    for line in ("digit: classification, weight 1", "place: segmentation, weight 0.5", "image: reconstruction, weig"):
        assert f"\n{line}" in ended.out
    assert "corrupted psnr" in ended.out
    (first, _) = csv.DictReader(Path("runs/scenes/history.csv").read_text().splitlines())
    assert {"train/digit/accuracy", "validation/place/mean_iou", "validation/image/psnr"} <= set(first)
    for split in ("train", "validation"):
        parts = [float(first[f"{split}/{name}/loss"]) for name in ("digit", "place", "image")]
        assert float(first[f"{split}/loss"]) == pytest.approx(parts[0] + 0.5 * parts[1] + parts[2], rel=1e-5)
    folder = Path("runs/scenes/eval/test")
    for name in ("digit/per_class.csv", "digit/confusion_matrix.png", "place/overlays.png", "place/per_class.csv",
                 "image/reconstructions.png", "image/predictions.csv"):  # fmt: skip
        assert (folder / name).stat().st_size > 0
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["task"], list(metrics["heads"])) == ("heads", ["digit", "place", "image"])
    again = cnnlab("eval", "runs/scenes", "--json")
    assert json.loads(again.out) == metrics


def test_answers_of_all(cnnlab):
    said = cnnlab("predict", "runs/scenes", "x.npy")
    assert said.out.splitlines()[0] == "file,index,digit class,digit probability,image mse"
    assert said.err == (
        "note: place gives a map for every example, which -o answers.npz writes; -o FOLDER writes masks\n"
    )
    (answer, _) = json.loads(cnnlab("predict", "runs/scenes", "x.npy", "--json").out)
    assert list(answer) == ["file", "index", "digit", "image"]
    assert (list(answer["digit"]), list(answer["image"])) == (["class", "probability"], ["mse"])
    assert cnnlab("predict", "runs/scenes", "x.npy", "-o", "a.npz").code == 0
    with np.load("a.npz") as arrays:
        assert arrays["digit/probabilities"].shape == (2, 10)
        assert arrays["place/probabilities"].shape == (2, 16, 16, 11)
        np.testing.assert_allclose(arrays["place/probabilities"].sum(-1), 1, rtol=1e-5)
        np.testing.assert_allclose(arrays["image/mse"], (arrays["image/reconstruction"] ** 2).mean((1, 2, 3)), 1e-5)
        assert arrays["image/mse"][0] == answer["image"]["mse"]


def test_one_head_is_asked_as_if_it_were_alone(cnnlab):
    whole = json.loads(cnnlab("predict", "runs/scenes", "small.png", "--json").out)[0]
    for head in ("digit", "image"):
        (alone,) = json.loads(cnnlab("predict", "runs/scenes", "small.png", "--head", head, "--json").out)
        for name, value in whole[head].items():
            assert alone[name] == pytest.approx(value, rel=1e-5) if isinstance(value, float) else alone[name] == value
    of_image = ("--head", "image", "--output", "code", "-o", "c.npz")
    assert cnnlab("predict", "runs/student", "small.png", *of_image).code == 0
    with np.load("c.npz") as arrays:
        assert arrays["code"].shape == (1, 16, 16, 4)
    logits = cnnlab("predict", "runs/scenes", "small.png", "--head", "digit", "--output", "logits").out
    assert logits.splitlines()[0] == "file,index,0,1,2,3,4,5,6,7,8,9"


def test_masks_lie_beside_what_the_other_heads_say(cnnlab):
    files = ["wide.png", "small.png", "x.npy"]
    ended = cnnlab("predict", "runs/scenes", *files, "-o", "out", "--tile", "16", "--overlays")
    assert (ended.code, ended.err) == (0, "")
    assert Path("out/shares.csv").read_text() == ended.out
    rows = list(csv.DictReader(ended.out.splitlines()))
    assert list(rows[0]) == ["file", "index", "place mask", *(f"place {name}" for name in CLASSES),
                             "digit class", "digit probability", "image mse"]  # fmt: skip
    told = csv.DictReader(cnnlab("predict", "runs/scenes", *files).out.splitlines())
    for row, other, shape in zip(rows, told, [(30, 41), (16, 16), (16, 16), (16, 16)], strict=True):
        assert other.items() <= row.items()
        with Image.open(row["place mask"]) as image:
            mask = np.asarray(image)
        assert mask.shape == shape
        assert [float(row[f"place {name}"]) for name in CLASSES] == pytest.approx(
            np.bincount(mask.ravel(), minlength=11) / mask.size
        )
        assert Path("out/overlays", Path(row["place mask"]).name).exists()
    (answer, *_) = json.loads(cnnlab("predict", "runs/scenes", *files, "-o", "out", "--tile", "16", "--json").out)
    assert answer["place"]["size"] == [30, 41]
    assert answer["place"]["tiles"] > 1
    assert answer["digit"]["class"] == rows[0]["digit class"]


def test_masks_of_the_head_alone_are_those_of_its_probabilities(cnnlab):
    ended = cnnlab("predict", "runs/scenes", "small.png", "--head", "place", "-o", "alone")
    assert ended.out.splitlines()[0] == f"file,index,mask,{','.join(CLASSES)}"
    assert cnnlab("predict", "runs/scenes", "small.png", "-o", "a.npz").code == 0
    with np.load("a.npz") as arrays, Image.open("alone/small.png") as image:
        np.testing.assert_array_equal(np.asarray(image), arrays["place/probabilities"][0].argmax(-1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--head", "digits"), "--head: the run has no head 'digits'; did you mean 'digit'?"),
        (("--head", "digit", "-o", "out"), "out: '' is no format of answers; name an .npz file"),
        (("--head", "digit", "--tile", "16"), "--tile: is for the masks of a run whose task is segmentation"),
        (
            ("--output", "code"),
            "--output: code is of runs whose task is reconstruction; choose that head with",
        ),
        (("--head", "image", "--output", "code"), "--output: the network has no layer for the code; name a layer enc"),
        (("--overlays",), "--overlays: overlays are written to a folder; name one with -o FOLDER"),
        (("-o", "a.txt"), "a.txt: '.txt' is no format of answers; name a folder for masks, or an .npz file"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(cnnlab, arguments, said):
    ended = cnnlab("predict", "runs/scenes", "small.png", *arguments)
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (2, "", 1), ended.err
    assert ended.err.startswith(said)
    assert not Path("out").exists()


def test_of_two_heads_that_segment_one_has_to_be_chosen():
    loss = CrossEntropy()
    task = SeveralHeads(tuple(Head(name, Segmentation(("a", "b"), loss), 1.0, ()) for name in ("first", "second")))
    predictor = Predictor(lambda _: nnx.Module(), lambda: ({}, ()), lambda _: np.zeros(1), task.names, task=task)
    with pytest.raises(SpecError, match="--head: several heads segment: first, second; choose one of them"):
        segmenting(Run(Path("runs/scenes")), "best", predictor)


def test_a_run_is_compressed_with_all_of_its_heads(cnnlab):
    assert cnnlab("compress", "runs/scenes", "--rank", "0.5", "--int8", "-o", "less").code == 0
    found = json.loads(cnnlab("predict", "less", "small.png", "--json").out)[0]
    assert list(found) == ["file", "index", "digit", "image"]


def test_each_head_learns_from_the_teachers_of_its_name(cnnlab, folder):
    ended = cnnlab("check", "student.yaml")
    assert ended.code == 0, ended.err
    assert "note: without a teacher learns the head image" in ended.err
    (line,) = (line for line in ended.out.splitlines() if line.startswith("teacher"))
    assert line.endswith(f"temperature 4, weight 0.75 of digit: {folder / 'runs/scenes'}")
    rows = csv.DictReader(Path("runs/student/history.csv").read_text().splitlines())
    assert all(float(row["train/distillation"]) > 0 for row in rows)
    Path("other.yaml").write_text(STUDENT.replace("digit:", "place:", 1).replace("digit/", "place/"))
    ended = cnnlab("check", "other.yaml")
    assert ended.err == (
        "distill.teacher: the teacher of the head 'place' has learnt segmentation, and this is classification; "
        "train a teacher on this data\n"
    )


def test_a_head_leads_to_a_run_and_back(cnnlab):
    alone = "task: segmentation\n" + SPEC[SPEC.index("data:") :]
    Path("heads.yaml").write_text(SPEC.replace("name: unet", "name: unet, weights: runs/scenes"))
    assert cnnlab("check", "heads.yaml").code == 0
    Path("alone.yaml").write_text(alone.replace("name: unet", "name: unet, weights: runs/scenes, new_head: true"))
    watched = "train.early_stopping={metric: validation/loss, patience: 1}"
    again = cnnlab("train", "alone.yaml", "train.epochs=1", watched, "--run", "alone")
    assert again.code == 0, again.err
    Path("back.yaml").write_text(SPEC.replace("name: unet", "name: unet, weights: alone, new_head: true"))
    assert cnnlab("check", "back.yaml").code == 0
    refused = cnnlab("predict", "alone", "small.png", "--head", "place")
    assert (refused.code, refused.err) == (
        2,
        "--head: the run learns segmentation alone, without heads; leave it out\n",
    )

    refused = cnnlab("export-weights", "runs/scenes", "-o", "w.safetensors")
    assert (refused.code, refused.out) == (2, "")
    assert "several heads have no names in torch" in refused.err


def test_a_metric_of_no_head_is_told(cnnlab):
    ended = cnnlab("check", "scenes.yaml", "train.early_stopping.metric=validation/digits/accuracy")
    assert ended.code == 2
    assert "heads has no figure validation/digits/accuracy" in ended.err
    assert "did you mean 'validation/digit/accuracy'?" in ended.err
