"""A student from the command line: which run teaches it, whether it fits, that it goes on with the same one."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cnnlab.spec.load import load
from cnnlab.train import checkpoint
from tests.conftest import well
from tests.runs.test_training import arrays, table

pytestmark = pytest.mark.usefixtures("undrawn")

DATA = "data: {{source: npz, path: {}, batch_size: 16}}\n"
TEACHER = "model: {name: mlp, hidden: [6]}\ntrain: {epochs: 2}\noptimizer: {learning_rate: 0.05}\n"
STUDENT = "model: {name: softmax_regression}\ntrain: {epochs: 2, checkpoint_every: 1}\ndistill: {teacher: runs/big}\n"


def write(path: Path, classes: list[str], size: int = 4, dtype: str = "uint8") -> None:
    random = np.random.default_rng(0)
    y = np.arange(60) % len(classes)
    x = random.integers(0, 120, (60, size, size), dtype=np.uint8)
    x[:, 0, 0] += (y * 40).astype(np.uint8)
    np.savez(path, x=x.astype(dtype), y=y, classes=np.array(classes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A teacher, `runs/big`, its copy that has no checkpoint yet, and data that it does not fit."""
    folder = tmp_path_factory.mktemp("school")
    write(folder / "data.npz", ["a", "b", "c"])
    write(folder / "fewer.npz", ["a", "b"])
    write(folder / "turned.npz", ["a", "c", "b"])
    write(folder / "larger.npz", ["a", "b", "c"], size=5)
    write(folder / "floats.npz", ["a", "b", "c"], dtype="float32")
    (folder / "teacher.yaml").write_text(DATA.format("data.npz") + TEACHER)
    (folder / "student.yaml").write_text(DATA.format("data.npz") + STUDENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        well("train", "teacher.yaml", "--run", "runs/big", "--quiet")
        well("train", "student.yaml", "--run", "runs/small", "--quiet")
    shutil.copytree(folder / "runs/big", folder / "runs/new")
    shutil.rmtree(folder / "runs/new/checkpoints")
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch) -> None:
    monkeypatch.chdir(folder)


def last(run: str) -> dict[str, bytes]:
    return arrays(checkpoint.stored(Path(run, "checkpoints"))[-1])


def test_the_run_says_which_teacher_it_had_and_stores_none_of_it(folder):
    assert load(Path("runs/small/resolved.yaml")).distill.teacher == str(folder / "runs/big")
    assert len(json.loads(Path("runs/small/model.json").read_text())["teacher"]) == 64
    assert (
        "teacher" not in json.loads(Path("runs/big/model.json").read_text())
        or not json.loads(Path("runs/big/model.json").read_text())["teacher"]
    )
    rows = table(Path("runs/small/history.csv"))
    assert [float(row["train/distillation"]) > 0 for row in rows] == [True, True]
    assert "train/distillation" not in table(Path("runs/big/history.csv"))[0]
    sizes = {name: len(value) for name, value in last("runs/small").items() if name.startswith("params.")}
    assert sorted(sizes.values()) == [3 * 4, 3 * 16 * 4]  # bias and kernel of the student alone


def test_the_student_learns_from_it_and_with_the_weight_0_as_if_alone(cnnlab):
    assert cnnlab("train", "student.yaml", "distill.weight=0", "--run", "runs/w0", "--quiet").code == 0
    assert cnnlab("train", "student.yaml", "distill=null", "--run", "runs/alone", "--quiet").code == 0
    assert last("runs/w0") == last("runs/alone") != last("runs/small")


def test_a_run_goes_on_to_the_same_bits_and_not_with_another_teacher(cnnlab):
    shutil.copytree("runs/small", "runs/half")
    assert len(checkpoint.stored(Path("runs/half/checkpoints"))) > 1
    shutil.rmtree(checkpoint.stored(Path("runs/half/checkpoints"))[-1].path)
    resume = ("train", "student.yaml", "--run", "runs/half", "--resume", "--quiet")
    assert cnnlab(*resume).code == 0
    assert last("runs/half") == last("runs/small")

    original = Path("runs/original")
    Path("runs/big").rename(original)
    try:
        assert cnnlab("eval", "runs/small", "--json").code == 0  # who has learnt needs no teacher
        assert cnnlab("train", "teacher.yaml", "seed=1", "--run", "runs/big", "--quiet").code == 0
        ended = cnnlab(*resume)
    finally:
        shutil.rmtree("runs/big", ignore_errors=True)
        original.rename("runs/big")
    assert (ended.code, ended.out) == (2, "")
    expected = "the weights of distill.teacher are not what they were when the run began"
    assert ended.err == f"runs/half: {expected}; put the run back as it was, or start a new run\n"


def test_check_says_what_teaches_and_what_it_has_seen(cnnlab, folder):
    ended = cnnlab("check", "student.yaml")
    line = f"teacher         123 parameters, temperature 4, weight 0.5: {folder / 'runs/big'}"
    assert (ended.code, ended.err, ended.out.splitlines()[-1]) == (0, "", line)
    found = json.loads(cnnlab("check", "student.yaml", "distill.temperature=2", "--json").out)["distill"]
    assert (found["temperature"], found["weight"], found["parameters"]) == (2, 0.5, 123)
    assert found["sha256"] == json.loads(Path("runs/small/model.json").read_text())["teacher"]
    ended = cnnlab("check", "student.yaml", "seed=1")  # another split of the same data
    assert ended.code == 0
    assert "note: the teacher was trained on " in ended.err
    assert "validation examples and " in ended.err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("distill.teacher=runs/bigg", "{}/runs/bigg: no such run directory; did you mean 'big'?"),
        ("distill.teacher=teacher.yaml", "{}/teacher.yaml is a file, and a teacher is the directory of a run"),
        ("distill.teacher=runs", "{}/runs: is not a run directory: it has no resolved.yaml; a run is what"),
        ("distill.teacher=runs/new", "{}/runs/new: nothing to evaluate: it has no checkpoint yet; continue it"),
        ("data.path=fewer.npz", "the teacher knows 3 classes, and there are 2 here"),
        ("data.path=turned.npz", "the teacher's class 1 is 'b', and here it is 'c'"),
        ("data.path=larger.npz", "the teacher's inputs are 4x4x1, and these are 5x5x1"),
        ("data.path=floats.npz", "the teacher was trained on uint8 values, and these are float32"),
    ],
)
@pytest.mark.parametrize("name", ["check", "train"])
def test_a_teacher_that_does_not_fit_is_told_before_there_is_a_run(cnnlab, folder, name, override, message):
    more = ("--run", "runs/never") if name == "train" else ()
    ended = cnnlab(name, "student.yaml", override, *more)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"distill.teacher: {message.format(folder)}")
    assert ended.err.count("\n") == 1
    assert not Path("runs/never").exists()


CURVE = "data: {source: function, examples: 60, batch_size: 16}\nmodel: {name: mlp, hidden: [6]}\ntrain: {epochs: 2}\n"


def test_numbers_are_learnt_from_a_teachers(cnnlab, folder):
    Path("curve.yaml").write_text(CURVE)
    Path("copy.yaml").write_text(CURVE + "distill: {teacher: runs/curve, weight: 1}\n")
    assert cnnlab("train", "curve.yaml", "--run", "runs/curve", "--quiet").code == 0
    line = f"teacher         19 parameters, weight 1: {folder / 'runs/curve'}"  # numbers have no temperature
    assert cnnlab("check", "copy.yaml").out.splitlines()[-1] == line
    copied = "train={epochs: 1}", "optimizer={name: sgd, learning_rate: 1e-30}", "model.weights=runs/curve"
    assert cnnlab("train", "copy.yaml", *copied, "--run", "runs/copy", "--quiet").code == 0
    (row,) = table(Path("runs/copy/history.csv"))
    assert float(row["train/distillation"]) == pytest.approx(0, abs=1e-10)  # of the teacher itself
    assert float(row["train/loss"]) > 0.01
    assert cnnlab("train", "copy.yaml", "seed=1", "--run", "runs/other", "--quiet").code == 0
    first, last = table(Path("runs/other/history.csv"))
    assert float(first["train/distillation"]) > float(last["train/distillation"]) > 0


def test_numbers_have_no_temperature_where_the_data_says_that_it_has_them(cnnlab):
    Path("warm.yaml").write_text(CURVE + "distill: {teacher: runs/big, temperature: 2}\n")
    ended = cnnlab("check", "warm.yaml")
    assert ended.code == 2
    said = "distill.temperature: the temperature is of distributions, and a regression has numbers; leave it out\n"
    assert ended.err == said


def test_the_range_test_and_the_bench_have_the_teacher_too(cnnlab):
    assert cnnlab("lr-find", "student.yaml", "--steps", "5").code == 0
    ended = cnnlab("bench", "student.yaml", "--seconds", "0.01", "--json")
    assert ended.code == 0
    found = json.loads(ended.out)["training"]["multiply_adds_per_image"]
    assert found == 3 * (16 * 3) + 16 * 6 + 6 * 3  # the student's as everywhere, and the teacher's forward
