"""The course: what heads may promise, whether a run kept it, and the table of contents of today."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnnlab.data.prepare import prepare
from cnnlab.spec.load import load
from experiments.course.checks import check
from experiments.course.claims import DIVERGES, read_expected
from experiments.course.contents import NETWORKS, README, course
from experiments.course.pictures import draw
from experiments.course.runs import Ended, teacher_of, train
from experiments.course.topics import EXPERIMENTS, Topic, read_topic, topics

TOPICS = topics()
HEAD = """\
# yaml-language-server: $schema=../cnnlab.schema.json
# Topic: A title. A sentence about it.
# Picture: train/loss
# What to look at.
# Expected: {expected}, 3 s on two cores
"""


def holds(claim: str, found: float, compared: float = 0.0) -> bool:
    (only,) = read_expected(f"# Expected: {claim}, 3 s on two cores").claims
    return only.holds(found, compared)


@pytest.mark.parametrize(("found", "inside"), [(0.949, False), (0.95, True), (0.98, True), (0.981, False)])
def test_a_range_has_its_ends(found, inside):
    assert holds("accuracy 0.95 to 0.98", found) is inside


def test_bounds():
    assert holds("train/loss at least 1", 1)
    assert not holds("train/loss at least 1", 0.99)
    assert holds("train/loss@3 at most -0.5", -0.5)
    assert not holds("train/loss@3 at most -0.5", -0.4)


def test_a_figure_beside_that_of_another_spec():
    assert holds("accuracy above a.yaml by 0.25", 0.75, 0.5)
    assert not holds("accuracy above a.yaml by 0.25", 0.74, 0.5)
    assert holds("accuracy below a.yaml by 0.25", 0.25, 0.5)
    assert not holds("accuracy below a.yaml by 0.25", 0.26, 0.5)
    assert holds("accuracy within 0.25 of a.yaml", 0.25, 0.5)
    assert holds("accuracy within 0.25 of a.yaml", 0.75, 0.5)
    assert not holds("accuracy within 0.25 of a.yaml", 0.76, 0.5)


def test_a_figure_as_a_multiple_of_another():
    assert holds("model.parameters below a.yaml 8 times", 100, 800)
    assert not holds("model.parameters below a.yaml 8 times", 101, 800)
    assert holds("model.parameters above a.yaml 8 times", 800, 100)
    assert not holds("model.parameters above a.yaml 8 times", 799, 100)


def test_a_head_has_several_claims_and_the_time():
    expected = read_expected("# Expected: accuracy 0.5 to 1; per_class.0.f1 above a.yaml by 0, 12 s on two cores")
    assert expected.texts == ["accuracy 0.5 to 1", "per_class.0.f1 above a.yaml by 0"]
    assert (expected.seconds, expected.diverges) == (12, False)
    assert read_expected("# Expected: diverges, 3 s on two cores").diverges


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("# Expected: accuracy 0.5 to 1", "is not '# Expected"),
        ("# Expected: accuracy about 1, 3 s on two cores", "'accuracy about 1' is no claim"),
        ("# Expected: diverges; accuracy 0 to 1, 3 s on two cores", "'diverges' is no claim"),
        ("# Expected: accuracy above other by 1, 3 s on two cores", "is no claim"),
    ],
)
def test_what_is_no_promise(line, said):
    with pytest.raises(ValueError, match=said):
        read_expected(line)


def test_figures_are_read_from_all_that_a_run_leaves(tmp_path):
    ended = fabricated(tmp_path, accuracy=0.5)
    found = {
        path: ended.figure(path) for path in ("accuracy", "per_class.1.f1", "train/loss", "train/loss@1", "epochs")
    }
    assert found == {"accuracy": 0.5, "per_class.1.f1": 0.25, "train/loss": 1.0, "train/loss@1": 2.0, "epochs": 2}
    assert ended.figure("model.receptive_field.size.0") == 7
    np.savez(tmp_path / "eval/test/codes.npz", codes=np.array([[1.0, 0.0], [0.5, 0.0]]))
    assert ended.figure("codes.mean") == 0.375


@pytest.mark.parametrize(
    "path", ["accurac", "per_class.2.f1", "per_class", "train/acc", "train/loss@3", "model.x", "ok", "codes.mean"]
)
def test_what_no_run_has_is_no_figure(path, tmp_path):
    with pytest.raises(KeyError):
        fabricated(tmp_path, accuracy=0.5).figure(path)


def test_a_command_behind_a_run_has_figures_too(tmp_path):
    topic = written(tmp_path, a="accuracy at least 0", b="accuracy at least 0")
    path = topic.folder / "a.yaml"
    asked = HEAD.format(expected="then.rows.1.bytes at most 4")
    path.write_text(asked)
    with pytest.raises(ValueError, match=r"no '# Then: \.\.\.' names one"):
        read_topic(topic.folder)
    path.write_text(asked + "# Then: compress --int8\n")
    assert [spec.then for spec in read_topic(topic.folder).specs] == ["compress --int8", None]
    ended = fabricated(tmp_path / "1", 0.5)
    (ended.run / "then.json").write_text(json.dumps({"rows": [{"bytes": 16}, {"bytes": 4}]}))
    assert ended.figure("then.rows.1.bytes") == 4
    with pytest.raises(KeyError):
        ended.figure("then.rows.2.bytes")


def test_each_claim_has_its_row(tmp_path):
    topic = written(tmp_path, a="accuracy 0.4 to 0.6; accuracy above b.yaml by 0.3", b="accuracy at most 0.1")
    ended = {"a.yaml": fabricated(tmp_path / "1", 0.5), "b.yaml": fabricated(tmp_path / "2", 0.3)}
    rows = check(topic, ended)
    assert [row.ok for row in rows] == [True, False, False]
    assert [row.found for row in rows] == ["0.5", "0.5, b.yaml 0.3", "0.3"]
    assert [row.expected for row in rows][2] == "accuracy at most 0.1"


def test_a_run_that_failed_or_has_no_such_figure_keeps_no_promise(tmp_path):
    topic = written(tmp_path, a="accurcy at least 0", b="accuracy at least 0")
    failed = Ended(tmp_path / "none", 2, 1.0, "b.yaml:1: no such key")
    rows = check(topic, {"a.yaml": fabricated(tmp_path / "1", 0.5), "b.yaml": failed})
    assert [row.ok for row in rows] == [False, False]
    assert rows[0].found == "no such figure: 'accurcy'"
    assert rows[1].found == "exit code 2: b.yaml:1: no such key"


@pytest.mark.parametrize(
    ("code", "error", "ok"),
    [(1, "training diverged at step 3: loss", True), (1, "the disk is full", False), (0, "", False)],
)
def test_only_a_diverged_run_diverges(code, error, ok, tmp_path):
    (row,) = check(written(tmp_path, a=DIVERGES), {"a.yaml": Ended(tmp_path, code, 1.0, error)})
    assert row.ok is ok


def test_a_topic_has_one_title_and_compares_only_what_is_there(tmp_path):
    with pytest.raises(ValueError, match=r"there is no c\.yaml beside it"):
        written(tmp_path / "1", a="accuracy above c.yaml by 0.1")
    topic = written(tmp_path / "2", a="accuracy at least 0")
    (topic.folder / "b.yaml").write_text((topic.folder / "a.yaml").read_text())
    with pytest.raises(ValueError, match="one spec has the lines"):
        read_topic(topic.folder)


@pytest.mark.parametrize(
    "what", ["train/loss", "train/loss, logarithmic", "accuracy", "accuracy over model.parameters"]
)
def test_every_kind_of_picture_is_drawn(what, tmp_path):
    topic = written(tmp_path, picture=what, a="accuracy at least 0", b=DIVERGES)
    ended = {"a.yaml": fabricated(tmp_path / "1", 0.5), "b.yaml": Ended(tmp_path / "2", 1, 1.0, "training diverged")}
    assert draw(topic, ended).startswith(b"\x89PNG")


def test_the_course_has_topics_in_their_order_each_with_a_title():
    assert [topic.folder.name[:2] for topic in TOPICS] == [f"{k:02}" for k in range(1, len(TOPICS) + 1)]
    for topic in TOPICS:
        assert topic.title
        assert topic.shows.endswith(".")
        assert 2 <= len(topic.specs) <= 8


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.folder.name)
def test_a_topic_has_a_small_picture(topic):
    assert topic.figure.stat().st_size < 60_000


def test_the_table_of_contents_is_the_one_of_today():
    stored = README.read_text(encoding="utf-8").partition(NETWORKS)[0]
    assert stored == "".join(course(TOPICS)), "run: python -m experiments.course --contents"


def test_the_best_linear_code_of_the_autoencoders_is_that_of_the_principal_components():
    """linear.yaml's head says their error on the test split: here by NumPy."""
    spec = EXPERIMENTS / "15-autoencoders/linear.yaml"
    prepared = prepare(load(spec).data, Path(), load(spec).seed)
    pixels = prepared.dataset.x.reshape(len(prepared.dataset.x), -1)
    train, test = (pixels[prepared.splits[name]] for name in ("train", "test"))
    _, _, axes = np.linalg.svd(train - train.mean(0), full_matrices=False)
    centred = test - train.mean(0)
    error = np.square(centred - centred @ axes[:8].T @ axes[:8]).mean()
    assert f"{error:.4f}" in spec.read_text(encoding="utf-8")


def test_a_teacher_is_a_spec_of_the_same_topic(tmp_path):
    topic = written(tmp_path, a="accuracy at least 0", b="accuracy at least 0")
    big, small = topic.specs
    model = "data: {source: digits}\nmodel: {name: mlp}\n"
    big.path.write_text(big.path.read_text() + "name: big\n" + model)
    for teacher, found in (("runs/big", big), ("runs/other", None)):
        small.path.write_text(f"name: small\n{model}distill: {{teacher: {teacher}}}\n")
        if found is None:
            with pytest.raises(ValueError, match="no spec beside it has the name other"):
                teacher_of(small)
        else:
            assert teacher_of(small) == found
    assert teacher_of(big) is None


@pytest.mark.slow
def test_a_spec_of_the_course_trains_and_is_taken_again(tmp_path):
    spec = TOPICS[0].specs[0]
    ended = train(spec, tmp_path)
    assert ended.code == 0, ended.error
    assert train(spec, tmp_path) == ended


def written(folder: Path, picture: str = "train/loss", **expected: str) -> Topic:
    """A topic with a spec for each name."""
    folder = folder / "01-topic"
    folder.mkdir(parents=True)
    for k, (name, text) in enumerate(expected.items()):
        lines = HEAD.format(expected=text).splitlines(keepends=True)
        lines[2] = f"# Picture: {picture}\n"
        (folder / f"{name}.yaml").write_text("".join(lines if k == 0 else [lines[0], *lines[3:]]))
    return read_topic(folder)


def fabricated(folder: Path, accuracy: float) -> Ended:
    """A run of two epochs that says what we want."""
    (folder / "eval/test").mkdir(parents=True)
    metrics = {"accuracy": accuracy, "per_class": [{"f1": 1}, {"f1": 0.25}], "ok": True}
    (folder / "eval/test/metrics.json").write_text(json.dumps(metrics))
    (folder / "model.json").write_text(json.dumps({"parameters": 10, "receptive_field": {"size": [7, 7]}}))
    (folder / "history.csv").write_text("epoch,train/loss,validation/loss\n1,2.0,\n2,1.0,\n")
    return Ended(folder, 0, 1.0, "")
