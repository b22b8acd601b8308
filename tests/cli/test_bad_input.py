"""Wrong input through the real entry point: exit code 2, nothing on stdout, a sentence each on stderr, nothing left."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

SPEC = """\
data: {source: npz, path: good.npz, batch_size: 8}
model: {layers: [flatten, dense: classes]}
"""
X = np.random.default_rng(0).random((40, 8, 8), np.float32)
Y = np.arange(40) % 4


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory: a spec, spec.yaml, and its data, 40 images of 8x8 in four classes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.yaml").write_text(SPEC)
    np.savez(tmp_path / "good.npz", x=X, y=Y)
    return tmp_path


@pytest.fixture
def refused(cnnlab):
    """arguments, number of sentences -> what stands on stderr, without the end of the last line."""

    def run(*arguments, sentences=1):
        ended = cnnlab(*arguments)
        assert ended.code == 2, ended.err
        assert ended.out == ""
        assert ended.err.endswith("\n")
        assert "Traceback" not in ended.err
        assert "fault in cnnlab" not in ended.err
        assert len(ended.err.splitlines()) == sentences
        return ended.err.removesuffix("\n")

    return run


# ---------------------------------------------------------------- the spec


@pytest.mark.parametrize("command", ["train", "check", "summary", "receptive-field"])
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (SPEC + "tarin: {epochs: 3}\n",
         "spec.yaml:3:1: tarin: unknown key (value {'epochs': 3}); did you mean 'train'?"),
        (SPEC + "seed: one\n", "spec.yaml:3:7: seed: must be a whole number, not 'one'"),
        (SPEC + "optimizer: {learning_rate: {peak: 0.1, end: 1}}\n",
         "spec.yaml:3:40: optimizer.learning_rate.end: end 1 is above peak 0.1"),
        (SPEC + "model: {name: lenet5}\n",
         "spec.yaml:3:1: the key 'model' is given twice, first at spec.yaml:2:1; keep one of them"),
        ("data: [\n", "spec.yaml:2:1: not YAML: while parsing a flow node, expected the node content, "
         "but found '<stream end>'; see yaml.org/spec"),
        ("", "spec.yaml: a spec is a mapping with the keys data and model; "
         "the shortest spec is 'data: {source: digits}' and 'model: {name: mlp}'"),
    ],
    ids=["misspelt key", "wrong type", "contradiction", "doubled key", "no YAML", "empty"],
)  # fmt: skip
def test_a_wrong_spec(folder, refused, command, text, sentence):
    (folder / "spec.yaml").write_text(text)
    assert refused(command, "spec.yaml") == sentence
    assert not (folder / "runs").exists()


def test_several_mistakes_are_several_sentences(folder, refused):
    (folder / "spec.yaml").write_text("nmae: a\n" + SPEC + "seed: one\n")
    assert refused("train", "spec.yaml", "train.epochs=0", sentences=3) == (
        "command line: train.epochs=0: train.epochs: must be at least 1, not 0\n"
        "spec.yaml:1:1: nmae: unknown key (value 'a'); did you mean 'name'?\n"
        "spec.yaml:4:7: seed: must be a whole number, not 'one'"
    )


@pytest.mark.parametrize("command", ["train", "check", "summary", "receptive-field"])
def test_a_spec_that_is_not_there(folder, refused, command):
    assert refused(command, "spce.yaml") == "spce.yaml: no such spec file; did you mean 'spec.yaml'?"
    assert refused(command, "nowhere/a.yaml") == "nowhere/a.yaml: no such spec file; 'cnnlab init' writes one"


def test_a_spec_that_is_a_directory(folder, refused):
    (folder / "specs").mkdir()
    assert refused("train", "specs") == "specs: is a directory, not a spec; name a .yaml file"
    assert refused("check", "specs").startswith("specs: is a directory, not a spec; ")


@pytest.mark.parametrize("command", ["train", "check"])
def test_overrides(folder, refused, command):
    form = "an override is KEY=VALUE; such as optimizer.learning_rate.peak=0.01"
    assert refused(command, "spec.yaml", "seed") == f"command line: seed: {form}"
    assert (
        refused(command, "spec.yaml", "sed=3")
        == "command line: sed=3: sed: unknown key (value 3); did you mean 'seed'?"
    )


@pytest.mark.parametrize("command", ["train", "check"])
def test_an_impossible_shape_leaves_nothing_behind(folder, refused, command):
    found = refused(command, "spec.yaml", "model.layers=[conv: {features: 4, kernel: 3}, max_pool: 9, dense: classes]")
    assert found == "model.layers[1] (max_pool 9): the map is 8x8 here, smaller than the window 9x9"
    found = refused(command, "spec.yaml", "model.layers=[flatten, dense: 3]")
    assert found == (
        "model: gives 3, and classification needs one logit for each of 4 classes; "
        "end with 'dense: classes', choose a network that classifies, or name another task"
    )
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("shape", ["nonsense", "8,x", "0,8", "-8,8", "8,,8", "8.5,8", "1,2,3,4,5", ""])
@pytest.mark.parametrize("command", ["check", "summary", "receptive-field"])
def test_an_input_that_is_no_shape(folder, refused, command, shape):
    found = refused(command, "spec.yaml", f"--input={shape}")
    assert found == f"--input: '{shape}' is no shape; such as 224,224,3: height, width, channels"


def test_an_input_in_digits_that_are_no_numbers(folder, refused):
    assert refused("check", "spec.yaml", "--input=\u00b2,8").startswith("--input: '\u00b2,8' is no shape")


def test_a_vector_has_no_receptive_field(folder, refused):
    assert refused("receptive-field", "spec.yaml", "--input=64") == (
        "spec.yaml: the input is a vector of 64, without a spatial axis; "
        "receptive fields are of images, signals and volumes"
    )


@pytest.mark.parametrize("command", ["check", "summary", "receptive-field"])
def test_a_network_alone_needs_a_shape(folder, refused, command):
    (folder / "spec.yaml").write_text("model: {name: lenet5}\n")
    assert refused(command, "spec.yaml") == (
        "spec.yaml: the spec has no data and no model.input; give data, model.input, or --input 224,224,3"
    )


def test_training_needs_data(folder, refused):
    (folder / "spec.yaml").write_text("model: {name: lenet5, input: [32, 32, 1]}\n")
    assert "data" in refused("train", "spec.yaml")
    assert not (folder / "runs").exists()


# ---------------------------------------------------------------- the data


def with_arrays(folder, **arrays):
    np.savez(folder / "good.npz", **arrays)


def changed(array, place, value):
    array = array.copy()
    array[place] = value
    return array


WRONG_ARRAYS = {
    "no x": ({"X": X, "y": Y}, "no array 'x'; arrays there: X, y; did you mean 'X'?"),
    "negative label": (
        {"x": X, "y": changed(Y, 3, -1)},
        "y[3] is -1, and labels go from 0 to 65535; labels out of range: 1; "
        "numpy.unique(y, return_inverse=True) makes ids from 0",
    ),
    "label beyond the classes": (
        {"x": X, "y": changed(Y, 7, 4), "classes": np.array(list("abcd"))},
        "y[7] is 4, and labels go from 0 to 3; labels out of range: 1; add names to classes",
    ),
    "labels as fractions": (
        {"x": X, "y": Y.astype(np.float64)},
        "y has the type float64, and labels are whole numbers; y.astype(int)",
    ),
    "NaN": (
        {"x": changed(X, (5, 1, 2), np.nan), "y": Y},
        "example 5 has the value nan at [1, 2, 0] (1 of its values); "
        "values must be finite; examples with NaN or infinite values: 1",
    ),
    "one class": (
        {"x": X, "y": np.zeros(40, int)},
        "every one of the 40 examples has the class '0'; two classes are the least that can be told apart",
    ),
}


@pytest.mark.parametrize("case", WRONG_ARRAYS)
def test_wrong_arrays(folder, refused, case):
    arrays, sentence = WRONG_ARRAYS[case]
    with_arrays(folder, **arrays)
    assert refused("train", "spec.yaml") == f"{folder}/good.npz: {sentence}"
    assert refused("check", "spec.yaml").startswith(f"{folder}/good.npz: {sentence}")
    assert not (folder / "runs").exists()


def test_a_data_file_that_is_not_there(folder, refused):
    path = f"{folder}/god.npz"
    assert refused("train", "spec.yaml", "data.path=god.npz") == (
        f"{path}: no such file or folder; did you mean 'good.npz'?"
    )
    assert refused("check", "spec.yaml", "data.path=god.npz").startswith(f"{path}: no such file or folder; did you")
    assert not (folder / "runs").exists()


def test_a_data_file_that_is_damaged(folder, refused):
    (folder / "good.npz").write_bytes((folder / "good.npz").read_bytes()[:-200])
    assert refused("train", "spec.yaml").startswith(f"{folder}/good.npz: {folder}/good.npz is not a zip file")


@pytest.mark.parametrize("command", ["train", "check"])
def test_a_batch_larger_than_the_split(folder, refused, command):
    found = refused(command, "spec.yaml", "data.batch_size=29")
    assert found == "data.batch_size is 29, and the training split has 28 examples; at most 28"
    assert not (folder / "runs").exists()


BAD_FILES = {
    "idx": ("{source: idx, path: bad}", "bad/train-images-idx3-ubyte",
            "ends after 2 bytes, in its header; copy or download the file again"),
    "cifar10": ("{source: cifar10, path: bad}", "bad/data_batch_1",
                "the pickle asks for posix.system, and data need nothing but arrays: it was not run; "
                "do not trust the file; download it from its publisher"),
    "npy": ("{source: npy, path: bad}", "bad/x.npy",
            "cannot be read as an array: its header says [4, 1000000] of float64, 32,000,000 bytes, and 128 are there; "
            "copy or write the file again"),
    "csv": ("{source: csv, path: bad/table.csv, images: file, labels: kind}", "bad/table.csv",
            "line 2: no file 'a.png'; bad rows: 1 of 1"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_FILES)
def test_files_of_every_source_that_are_not_what_they_should_be(folder, refused, kind):
    data, file, sentence = BAD_FILES[kind]
    bad = folder / "bad"
    bad.mkdir()
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (bad / name).write_bytes(b"\0\0")
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for name in names:
        (bad / name).write_bytes(b"cposix\nsystem\n(S'touch ran'\ntR.")
    (bad / "batches.meta").write_bytes(pickle.dumps({"label_names": ["cat", "dog"]}))
    np.save(bad / "x.npy", np.zeros((4, 1_000_000)))
    np.save(bad / "y.npy", np.arange(4))
    (bad / "x.npy").write_bytes((bad / "x.npy").read_bytes()[:128])
    (bad / "table.csv").write_text("file,kind\na.png,cat\n")
    assert refused("train", "spec.yaml", f"data={data}") == f"{folder}/{file}: {sentence}"
    assert not (folder / "ran").exists()
    assert not (folder / "runs").exists()


IMAGES = "data={source: image_folder, path: images, batch_size: 2}"


def with_images(folder, *classes):
    for name in classes:
        (folder / "images" / name).mkdir(parents=True)
        for i in range(4):
            pixels = np.random.default_rng(i).integers(0, 255, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{i}.png")


def test_an_image_that_cannot_be_read(folder, refused):
    with_images(folder, "cat", "dog")
    (folder / "images" / "cat" / "2.png").write_bytes(b"no picture")
    sentence = "cannot read the image: it is no image that Pillow knows; repair or remove it"
    assert refused("train", "spec.yaml", IMAGES) == f"{folder}/images/cat/2.png: {sentence}"
    assert refused("check", "spec.yaml", IMAGES).startswith(f"{folder}/images/cat/2.png: {sentence}")
    assert not (folder / "runs").exists()


def test_a_class_that_only_validation_has(folder, refused):
    with_images(folder, "train/cat", "train/dog", "val/cat", "val/dog", "val/fox")
    assert refused("train", "spec.yaml", IMAGES) == (
        f"{folder}/images: the class 'fox' is in validation, and has no folder in train (cat, dog); "
        "what was never trained cannot be recognised"
    )
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("command", ["train", "check"])
def test_a_file_where_a_folder_of_images_is_wanted(folder, refused, command):
    found = refused(command, "spec.yaml", "data={source: image_folder, path: good.npz}")
    assert found.startswith(f"{folder}/good.npz: {folder}/good.npz is a file, and a folder of class folders is wanted")
    assert "; ," not in found


# ---------------------------------------------------------------- the run

ON_A_RUN = [("eval",), ("predict", "good.npz"), ("summary",), ("receptive-field",)]


@pytest.mark.parametrize(("command", "more"), [(one[0], one[1:]) for one in ON_A_RUN])
def test_a_directory_that_is_no_run(folder, refused, command, more):
    (folder / "photos").mkdir()
    assert refused(command, "photos", *more) == (
        "photos: is not a run directory: it has no resolved.yaml; a run is what 'cnnlab train' leaves in runs/"
    )


@pytest.mark.parametrize(("command", "more"), [(one[0], one[1:]) for one in ON_A_RUN[:2]])
def test_a_run_that_is_not_there(folder, refused, command, more):
    (folder / "runs" / "digits-lenet5").mkdir(parents=True)
    found = refused(command, "runs/digits-lenet", *more)
    assert found == "runs/digits-lenet: no such run directory; did you mean 'digits-lenet5'?"
    assert refused(command, "nowhere/a", *more) == "nowhere/a: no such run directory; 'cnnlab train SPEC' makes one"


@pytest.mark.parametrize(("command", "more"), [(one[0], one[1:]) for one in ON_A_RUN])
def test_a_run_of_a_newer_version(folder, refused, command, more):
    from cnnlab import __version__

    run = folder / "newer"
    run.mkdir()
    (run / "resolved.yaml").write_text(SPEC)
    (run / "environment.json").write_text(json.dumps({"cnnlab": "99.0.0", "run_format": 1}))
    assert refused(command, "newer", *more) == (
        f"newer: was trained by cnnlab 99.0.0, and this is {__version__}; install a version at least as new"
    )
    (run / "environment.json").write_text("{")
    assert refused(command, "newer", *more) == "newer: its environment.json is missing or damaged"


@pytest.mark.parametrize("command", ["summary", "receptive-field", "check"])
def test_settings_for_a_run_are_not_passed_over_in_silence(folder, refused, command):
    run = folder / "run"
    run.mkdir()
    (run / "resolved.yaml").write_text(SPEC)
    (run / "environment.json").write_text('{"cnnlab": "0.1.0", "run_format": 1}')
    (run / "data.json").write_text('{"input_shape": [8, 8, 1], "classes": ["a", "b"]}')
    expected = "is a directory, not a spec" if command == "check" else "a run cannot be overridden: train.epochs=9"
    assert expected in refused(command, "run", "train.epochs=9")


def test_files_to_predict_that_cannot_be_used(folder, refused):
    run = folder / "run"
    run.mkdir()
    (run / "resolved.yaml").write_text(SPEC)
    (run / "environment.json").write_text('{"cnnlab": "0.1.0", "run_format": 1}')
    description = {"input_shape": [8, 8, 1], "classes": ["a", "b"], "dtype": "uint8", "counts": {"train": 28}}
    statistics = {"normalization": {"mean": [0.5], "std": [0.25]}}
    (run / "data.json").write_text(json.dumps({**description, **statistics}))
    np.save(folder / "other.npy", np.zeros((3, 5), np.uint8))
    (folder / "broken.png").write_bytes(b"no picture")
    sentences = {
        "nofile.png": "nofile.png: no such file; name images, .npy or .npz files",
        "spec.yaml": "spec.yaml: '.yaml' is neither an image nor an array; name .png, .jpg or .npy",
        "other.npy": "other.npy: the array has the shape [3, 5], and the run takes examples of 8x8x1",
        "broken.png": "broken.png: cannot read the image: it is no image that Pillow knows; repair or remove it",
    }
    for file, sentence in sentences.items():
        assert refused("predict", "run", "good.npz", file) == sentence


def test_a_run_directory_that_is_taken(folder, refused):
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("keep me")
    assert refused("train", "spec.yaml", "--run", "mine") == (
        "mine: is taken; choose another, or continue it with --resume"
    )
    assert refused("train", "spec.yaml", "--run", "mine", "--resume") == (
        "mine: is not a run directory, and not empty; choose another with --run"
    )
    assert refused("train", "spec.yaml", "--run", "good.npz").startswith("good.npz: is taken; choose another")
    assert [path.name for path in (folder / "mine").iterdir()] == ["notes.txt"]
    assert not (folder / "runs").exists()


# ---------------------------------------------------------------- the command line itself


def test_a_kind_of_names_that_there_is_not(refused):
    assert refused("list", "modles") == "list: no kind 'modles'; did you mean 'models'?"
    assert refused("list", "zzz") == (
        "list: no kind 'zzz'; there are models, layers, sources, augmentations, optimizers, schedules, losses, metrics"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("tarin", "spec.yaml"), "Error: No such command 'tarin'."),
        (("train", "spec.yaml", "--epochs", "3"), "Error: No such option: --epochs"),
        (("train",), "Error: Missing argument 'SPEC'."),
        (("eval", "run", "--checkpoint", "first"), "'first' is not one of 'best', 'last'"),
        (("predict",), "Error: Missing argument '[RUN] FILE...'."),
    ],
)
def test_the_usage_is_shown(cnnlab, arguments, sentence):
    ended = cnnlab(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert sentence in ended.err
    assert ended.err.startswith("Usage: cnnlab")
    assert "--help" in ended.err
    assert "Traceback" not in ended.err


def test_debug_raises_the_error_itself(folder, monkeypatch, capsys):
    import sys

    from cnnlab.cli import main
    from cnnlab.errors import SpecError

    for arguments in (["--debug", "check", "a.yaml"], ["check", "a.yaml", "--debug"]):
        monkeypatch.setattr(sys, "argv", ["cnnlab", *arguments])
        with pytest.raises(SpecError, match="no such spec file"):
            main()
    assert capsys.readouterr().err == ""
