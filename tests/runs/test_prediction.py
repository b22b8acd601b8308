"""`cnnlab predict`: with a run, and with weights alone."""

import csv
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from cnnlab.layers.initialize import Initializer
from cnnlab.models import build
from cnnlab.spec.load import load
from cnnlab.train.state import named_leaves, split
from cnnlab.weights.names import tensors


@pytest.fixture
def run(uninterrupted) -> Path:
    return uninterrupted.rename("run")


def test_predictions_are_those_of_the_evaluation(run, cnnlab):
    """The test split's examples as an array, as .npz and as PNG files give class and probability of eval."""
    stored = list(csv.DictReader((run / "eval/test/predictions.csv").read_text().splitlines()))
    with np.load("small.npz") as arrays:
        x = arrays["x"][[int(row["index"]) for row in stored]]
    np.save("batch.npy", x)
    np.savez("batch.npz", x=x[:2])
    Image.fromarray(x[0]).save("one.png")
    found = list(csv.DictReader(cnnlab("predict", run, "batch.npy", "batch.npz", "one.png").out.splitlines()))
    assert [(row["file"], row["index"]) for row in found] == [
        *(("batch.npy", str(i)) for i in range(len(x))),
        ("batch.npz", "0"),
        ("batch.npz", "1"),
        ("one.png", "0"),
    ]
    for mine, theirs in zip(found, [*stored, *stored[:2], stored[0]], strict=True):
        assert mine["class"] == theirs["predicted"]
        assert float(mine["probability"]) == pytest.approx(float(theirs["probability"]), rel=1e-6)


def test_json_and_a_single_example_without_batch_axis(run, cnnlab):
    np.save("single.npy", np.zeros((6, 6), np.uint8))
    (found,) = json.loads(cnnlab("predict", run, "single.npy", "--json").out)
    assert found["file"] == "single.npy"
    assert found["class"] in ("top", "middle", "bottom")


def test_a_runs_features_are_what_its_head_is_given(run, cnnlab):
    with np.load("small.npz") as arrays:
        np.save("x.npy", arrays["x"][:5])
    rows = {
        output: np.array([line.split(",")[2:] for line in text.splitlines()[1:]], float)
        for output in ("features", "logits", "probabilities")
        for text in [cnnlab("predict", run, "x.npy", "--output", output).out]
    }
    assert rows["features"].shape == (5, 36)
    assert cnnlab("export-weights", run, "-o", "w.safetensors").code == 0
    state = load_file("w.safetensors")
    features = rows["features"].reshape(5, 3, 3, 4).transpose(0, 3, 1, 2).reshape(5, 36)  # torch: channels first
    logits = features @ state["dense_6.weight"].T + state["dense_6.bias"]
    np.testing.assert_allclose(rows["logits"], logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(rows["probabilities"], softmax(logits), rtol=1e-4, atol=1e-6)


def test_other_sizes_are_resized(run, cnnlab):
    Image.new("RGB", (40, 30), "white").save("large.png")
    np.save("large.npy", np.zeros((2, 12, 12), np.uint8))
    assert len(cnnlab("predict", run, "large.png", "large.npy").out.splitlines()) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: "nothing.png", "nothing.png: no such file; name images, .npy or .npz files"),
        (lambda: _written("notes.txt", "x"), "notes.txt: '.txt' is neither an image nor an array"),
        (lambda: _written("broken.png", "x"), "broken.png: cannot read the image"),
        (lambda: _written("broken.npy", "x"), "broken.npy: cannot be read as an array"),
        (
            lambda: _saved(np.zeros((2, 6, 6, 3))),
            "the array has the shape [2, 6, 6, 3], and the run takes examples of 6x6x1",
        ),
        (lambda: _saved(np.full((1, 6, 6), np.nan)), "the array holds NaN or infinite values"),
        (lambda: _saved(np.array(["a"])), "numbers are wanted"),
    ],
)
def test_what_cannot_be_predicted_is_a_sentence(run, cnnlab, make, message):
    ended = cnnlab("predict", run, make())
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1


def _written(name: str, text: str) -> str:
    Path(name).write_text(text)
    return name


def _saved(array: np.ndarray) -> str:
    np.save("array.npy", array)
    return "array.npy"


def test_an_image_does_not_fit_a_run_on_other_values(small, cnnlab):
    with np.load("small.npz") as arrays:
        changed = {**arrays, "x": arrays["x"].astype(np.float32) * 40}
    np.savez("small.npz", **changed)
    assert cnnlab("train", small, "train.epochs=1", "--run", "floats", "--quiet").code == 0
    Image.new("L", (6, 6)).save("one.png")
    ended = cnnlab("predict", "floats", "one.png")
    assert ended.code == 2
    assert "an image, and the run was trained on 6x6x1 of values that are no pixels" in ended.err


# ---------------------------------------------------------------- weights without a run

MEAN, STD = (0.25, 0.5, 0.375), (0.5, 0.25, 1.0)
NETWORK = """\
model:
  layers:
    - conv: {features: 4, kernel: 3, name: a}
    - relu
    - global_avg_pool
    - dense: {features: classes, name: b}
"""
SHAPES = {"a.weight": (4, 3, 3, 3), "a.bias": (4,), "b.weight": (7, 4), "b.bias": (7,)}


def state_dict() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {name: random.standard_normal(shape, dtype=np.float32) for name, shape in SHAPES.items()}


@pytest.fixture
def weights(tmp_path, monkeypatch, cnnlab) -> str:
    """A foreign state dict of seven classes, imported: images are resized to 10 and cropped to 8x8 pixels."""
    monkeypatch.chdir(tmp_path)
    save_file(state_dict(), "foreign.safetensors")
    Path("net.yaml").write_text(NETWORK)
    Path("names.txt").write_text("ant\nbee\ncat\ndog\neel\nfox\ngnu\n")
    given = ("--mean", "0.25,0.5,0.375", "--std", "0.5,0.25,1", "--size", 8, "--resize", 10, "--classes", "names.txt")
    ended = cnnlab("import-weights", "foreign.safetensors", "--model", "net.yaml", "-o", "w.safetensors", *given)
    assert ended.code == 0, ended.err
    return "w.safetensors"


def by_hand(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and logits of x [example, height, width, 3] after normalisation, in NumPy."""
    state = {name: value.astype(np.float64) for name, value in state_dict().items()}
    padded = np.pad(x.astype(np.float64), [(0, 0), (1, 1), (1, 1), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    maps = np.einsum("nijcab,ocab->nijo", windows, state["a.weight"]) + state["a.bias"]
    features = np.maximum(maps, 0).mean((1, 2))
    return features, features @ state["b.weight"].T + state["b.bias"]


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def pixels(count: int, size: tuple[int, int] = (8, 8)) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def numbers(text: str) -> np.ndarray:
    return np.array([row[2:] for row in list(csv.reader(text.splitlines()))[1:]], float)


@pytest.mark.parametrize("output", ["features", "logits", "probabilities"])
def test_every_output_of_arrays_as_they_are(weights, cnnlab, output):
    """33 examples are a batch and one; all three ways to write them have the same numbers."""
    x = np.random.default_rng(2).standard_normal((33, 8, 8, 3), dtype=np.float32)
    np.savez("x.npz", x=x)
    features, logits = by_hand(x)
    wanted = {"features": features, "logits": logits, "probabilities": softmax(logits)}[output]
    names = list("0123") if output == "features" else ["ant", "bee", "cat", "dog", "eel", "fox", "gnu"]
    arguments = ("predict", "--weights", weights, "x.npz", "--output", output)
    text = cnnlab(*arguments).out
    assert text.splitlines()[0].split(",") == ["file", "index", *names]
    np.testing.assert_allclose(numbers(text), wanted, rtol=1e-4, atol=1e-5)
    listed = json.loads(cnnlab(*arguments, "--json").out)
    assert [(row["file"], row["index"]) for row in listed] == [("x.npz", i) for i in range(33)]
    np.testing.assert_array_equal([row[output] for row in listed], numbers(text))
    assert cnnlab(*arguments, "-o", "out.npz") == (0, "out.npz\n", "")
    with np.load("out.npz") as found:
        np.testing.assert_array_equal(found[output], numbers(text).astype(np.float32))
        assert found["indices"].tolist() == list(range(33))
        assert found["classes"].tolist() == ["ant", "bee", "cat", "dog", "eel", "fox", "gnu"]


def test_class_and_probability_are_the_default(weights, cnnlab):
    x = np.random.default_rng(3).standard_normal((5, 8, 8, 3))  # float64 is narrowed
    np.save("x.npy", x)
    probabilities = softmax(by_hand(x)[1])
    found = list(csv.DictReader(cnnlab("predict", "--weights", weights, "x.npy").out.splitlines()))
    names = np.array(["ant", "bee", "cat", "dog", "eel", "fox", "gnu"])
    assert [row["class"] for row in found] == names[probabilities.argmax(1)].tolist()
    np.testing.assert_allclose([float(row["probability"]) for row in found], probabilities.max(1), rtol=1e-4)
    assert cnnlab("predict", "--weights", weights, "x.npy", "-o", "out.npz", "--json").code == 0
    with np.load("out.npz") as stored:
        assert sorted(stored) == ["classes", "files", "indices", "probabilities"]


def test_the_command_with_json_and_a_file_prints_json(weights, cnnlab):
    np.save("x.npy", np.zeros((5, 8, 8, 3), np.float32))
    ended = cnnlab("predict", "--weights", weights, "x.npy", "-o", "out.npz", "--json")
    assert json.loads(ended.out) == {"file": "out.npz", "examples": 5}


def test_images_and_pixels_go_through_the_preprocessing(weights, cnnlab):
    """An image by way of Pillow's resize and the centre; uint8 arrays are normalised as they are."""
    small, large = pixels(2), pixels(1, (20, 30))[0]
    np.save("pixels.npy", small)
    Image.fromarray(large).save("large.png")
    Image.fromarray(small[0, ..., 0]).save("gray.png")
    seen = np.asarray(Image.fromarray(large).resize((15, 10), Image.Resampling.BILINEAR))[1:9, 4:12]  # 3.5 to 4
    grown = np.asarray(Image.fromarray(small[0, ..., 0]).convert("RGB").resize((10, 10), Image.Resampling.BILINEAR))
    x = (np.stack([*small, seen, grown[1:9, 1:9]]) / 255 - MEAN) / STD
    text = cnnlab("predict", "--weights", weights, "pixels.npy", "large.png", "gray.png", "--output", "logits").out
    assert [line.split(",")[:2] for line in text.splitlines()[1:]] == [
        ["pixels.npy", "0"],
        ["pixels.npy", "1"],
        ["large.png", "0"],
        ["gray.png", "0"],
    ]
    np.testing.assert_allclose(numbers(text), by_hand(x)[1], rtol=1e-4, atol=1e-4)


def test_other_sizes_are_fed_in_as_they_are(weights, cnnlab):
    x = np.random.default_rng(4).standard_normal((2, 11, 6, 3), dtype=np.float32)
    np.save("x.npy", x)
    np.save("y.npy", x[:1, :8, :])
    text = cnnlab("predict", "--weights", weights, "x.npy", "y.npy", "--output", "logits").out
    wanted = np.concatenate([by_hand(x)[1], by_hand(x[:1, :8, :])[1]])
    np.testing.assert_allclose(numbers(text), wanted, rtol=1e-4, atol=1e-4)


def test_foreign_weights_with_a_spec_that_says_the_input(weights, cnnlab):
    Path("net.yaml").write_text(NETWORK + "  input: [8, 8, 3]\n")
    np.save("x.npy", np.ones((1, 8, 8, 3), np.float32))
    foreign = cnnlab(
        "predict", "--weights", "foreign.safetensors", "--model", "net.yaml", "x.npy", "--output", "logits"
    )
    assert foreign.out.splitlines()[0] == "file,index,0,1,2,3,4,5,6"  # seven, from the head's shape
    ours = cnnlab("predict", "--weights", weights, "--model", "net.yaml", "x.npy", "--output", "logits")
    assert foreign.out.splitlines()[1:] == ours.out.splitlines()[1:]


def zeros(*shape: int, dtype: type = np.float32) -> str:
    np.save("x.npy", np.zeros(shape, dtype))
    return "x.npy"


OTHER = "; give [example, height, width, channel], of the size that the network was trained on"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: "nothing.npz", "nothing.npz: no such file; name images, .npy or .npz files"),
        (lambda: "nothing.png", "nothing.png: no such file; name images, .npy or .npz files"),
        (lambda: "names.txt", "names.txt: '.txt' is neither an image nor an array; name .png, .jpg or .npy"),
        (lambda: _written("broken.png", "x"),
         "broken.png: cannot read the image: it is no image that Pillow knows; repair or remove it"),
        (lambda: zeros(3), "x.npy: the array has the shape [3], and [example, height, width, channel] is wanted"),
        (lambda: zeros(0, 8, 8, 3),
         "x.npy: the array has the shape [0, 8, 8, 3], and [example, height, width, channel] is wanted"),
        (lambda: zeros(1, 1, 1, 1, 1, 1),
         "x.npy: the array has the shape [1, 1, 1, 1, 1, 1], and [example, height, width, channel] is wanted"),
        (lambda: zeros(2, 8, 8, 1), "x.npy: examples of 8x8x1 do not fit the weights: "
         "a.kernel would be 3x3x1x4, and is 3x3x3x4" + OTHER),
        (lambda: zeros(8, 8, 3), "x.npy: examples of 8x3 do not fit the weights: "
         "a.kernel would be 3x3x4, and is 3x3x3x4" + OTHER),
        (lambda: zeros(2, 8, 8, dtype=np.uint8),
         "x.npy: the array has the shape [2, 8, 8], and the channels of the network are 3; "
         "give [example, height, width, channel]"),
        (lambda: _saved(np.full((1, 8, 8, 3), np.inf)),
         "array.npy: the array holds NaN or infinite values; values must be finite"),
        (lambda: _saved(np.full((1, 8, 8, 3), 1e300)),
         "array.npy: the array holds NaN or infinite values; values must be finite"),
        (lambda: _saved(np.array(["a"])), "array.npy: the array has the type <U1, and numbers are wanted"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_weights_is_a_sentence(weights, cnnlab, make, sentence):
    assert cnnlab("predict", "--weights", weights, make()) == (2, "", sentence + "\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--weights", "v.safetensors"), "v.safetensors: no such weights file; did you mean 'w.safetensors'?"),
        (("--weights", "foreign.safetensors"),
         "foreign.safetensors: the weights say nothing of their network; name it with --model"),
        (("--weights", "foreign.safetensors", "--model", "net.yaml"),
         "foreign.safetensors: the input's shape of net.yaml is not known; "
         "give model.input in a spec, or import them with --input"),
        (("--weights", "w.safetensors", "--model", "lenet5"),
         "w.safetensors: holds the weights of layers of its own, not of lenet5; "
         "leave --model out to use the network that they belong to"),
        (("--weights", "w.safetensors", "--model", "lenet"),
         "--model:1:15: model.name: no architecture 'lenet'; did you mean 'lenet5'? 'cnnlab list models' shows all"),
        (("--model", "net.yaml"), "--model needs --weights; or name a run: cnnlab predict RUN FILE..."),
        (("--weights", "w.safetensors", "-o", "out.csv"),
         "out.csv: '.csv' is no format of answers; name an .npz file"),
        ((), "x.npy: no such run directory; 'cnnlab train SPEC' makes one"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_a_sentence(weights, cnnlab, arguments, sentence):
    assert cnnlab("predict", *arguments, zeros(1, 8, 8, 3)) == (2, "", sentence + "\n")
    assert not Path("out.csv").exists()


def test_the_weights_of_another_network_are_listed(weights, cnnlab):
    Path("other.yaml").write_text(NETWORK.replace("name: a", "name: c"))
    ended = cnnlab("predict", "--weights", weights, "--model", "other.yaml", zeros(1, 8, 8, 3))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        "w.safetensors: not the weights of this network; nothing was loaded",
        "  missing: c.bias, c.kernel",
        "  unexpected: a.bias, a.kernel",
    ]


def test_a_published_network_is_not_another(weights, cnnlab):
    ended = cnnlab("predict", "--weights", "foreign.safetensors", "--model", "resnet18", zeros(1, 8, 8, 3))
    assert ended.code == 2
    first, missing, unexpected = ended.err.splitlines()
    assert first == "foreign.safetensors: not the weights of resnet18; nothing was loaded"
    assert missing.startswith("  missing: bn1.bias, bn1.running_mean, ")
    assert unexpected == "  unexpected: a.bias, a.weight, b.bias, b.weight"


def test_no_files(run, cnnlab):
    assert cnnlab("predict", run) == (2, "", "predict what?; name images, .npy or .npz files\n")
    for arguments in ((), ("--weights", "w.safetensors")):
        ended = cnnlab("predict", *arguments)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.splitlines()[-1] == "Error: Missing argument '[RUN] FILE...'."


def test_pixels_need_a_preprocessing(weights, cnnlab):
    arguments = ("--model", "net.yaml", "--input", "8,8,3", "-o", "bare.safetensors")
    assert cnnlab("import-weights", "foreign.safetensors", *arguments).code == 0
    sentence = (
        "bare.safetensors: the weights say nothing of the preprocessing of pixels; "
        "import them again with --mean, --std and --size, or give float arrays\n"
    )
    Image.new("RGB", (8, 8)).save("a.png")
    for file in ("a.png", zeros(1, 8, 8, 3, dtype=np.uint8)):
        assert cnnlab("predict", "--weights", "bare.safetensors", file) == (2, "", sentence)
    assert cnnlab("predict", "--weights", "bare.safetensors", zeros(1, 8, 8, 3)).code == 0


def test_images_need_one_or_three_channels(tmp_path, monkeypatch, cnnlab):
    monkeypatch.chdir(tmp_path)
    save_file({**state_dict(), "a.weight": np.zeros((4, 2, 3, 3), np.float32)}, "two.safetensors")
    Path("net.yaml").write_text(NETWORK)
    given = ("--mean", "0,0", "--std", "1,1", "--size", 8, "-o", "w.safetensors")
    assert cnnlab("import-weights", "two.safetensors", "--model", "net.yaml", *given).code == 0
    Image.new("RGB", (8, 8)).save("a.png")
    assert cnnlab("predict", "--weights", "w.safetensors", "a.png") == (
        2,
        "",
        "a.png: an image, and the network was trained on 8x8x2; give .npy or .npz arrays\n",
    )


def test_a_network_bound_to_a_size(tmp_path, monkeypatch, cnnlab):
    monkeypatch.chdir(tmp_path)
    save_file({"b.weight": np.ones((3, 12), np.float32), "b.bias": np.zeros(3, np.float32)}, "f.safetensors")
    Path("net.yaml").write_text("model: {layers: [flatten, dense: {features: 3, name: b}]}\n")
    arguments = ("--model", "net.yaml", "--input", "2,2,3", "-o", "w.safetensors")
    assert cnnlab("import-weights", "f.safetensors", *arguments).code == 0
    assert cnnlab("predict", "--weights", "w.safetensors", zeros(1, 2, 2, 3), "--output", "logits").code == 0
    assert cnnlab("predict", "--weights", "w.safetensors", zeros(1, 2, 3, 3)) == (
        2,
        "",
        "x.npy: examples of 2x3x3 do not fit the weights: b.kernel would be 18x3, and is 12x3" + OTHER + "\n",
    )


def test_maps_have_no_class(tmp_path, monkeypatch, cnnlab):
    """A U-Net's logits for every position go to a file."""
    monkeypatch.chdir(tmp_path)
    Path("net.yaml").write_text("model: {name: unet, depth: 1, width: 2, padding: same, input: [4, 4, 1]}\n")
    network = build(load(Path("net.yaml")).model, (4, 4, 1), 2, init=Initializer(0))
    _, params, _ = split(network)
    leaves = {name: np.asarray(leaf) for name, leaf in named_leaves(params).items()}
    state = {e.torch: e.to_torch(leaves[e.ours]) for e in tensors(network, "unet", "plain", 2)}
    save_file(state, "f.safetensors")
    assert cnnlab("import-weights", "f.safetensors", "--model", "net.yaml", "-o", "w.safetensors").code == 0
    x = np.random.default_rng(0).standard_normal((3, 4, 4, 1), dtype=np.float32)
    np.save("x.npy", x)
    arguments = ("predict", "--weights", "w.safetensors", "x.npy")
    sentence = "the network gives 4x4x2 for an example, and no class; ask for --output logits -o values.npz\n"
    assert cnnlab(*arguments) == (2, "", sentence)
    assert cnnlab(*arguments, "--output", "logits") == (
        2,
        "",
        "the logits of an example are 4x4x2, and a line of CSV is a vector; write them to a file with -o values.npz\n",
    )
    assert cnnlab(*arguments, "--output", "logits", "-o", "out.npz").code == 0
    with np.load("out.npz") as found:
        np.testing.assert_allclose(found["logits"], network(jnp.asarray(x)), rtol=1e-4, atol=1e-5)
    np.save("y.npy", np.zeros((1, 6, 4, 1), np.float32))
    assert cnnlab(*arguments, "y.npy", "--output", "logits", "-o", "out.npz") == (
        2,
        "",
        "the files give logits of different shapes: 4x4x2, 6x4x2; predict them one by one\n",
    )


def test_weights_of_a_run_on_other_values_take_no_pixels(small, cnnlab):
    with np.load("small.npz") as arrays:
        changed = {**arrays, "x": arrays["x"].astype(np.float32) * 40}
    np.savez("small.npz", **changed)
    assert cnnlab("train", small, "train.epochs=1", "--run", "floats", "--quiet").code == 0
    assert cnnlab("export-weights", "floats", "-o", "w.safetensors").code == 0
    Image.new("L", (6, 6)).save("one.png")
    for file in ("one.png", zeros(1, 6, 6, 1, dtype=np.uint8)):
        sentence = f"{file}: pixels, and the weights were trained on other values; "
        sentence += "give float arrays, normalised as in training\n"
        assert cnnlab("predict", "--weights", "w.safetensors", file) == (2, "", sentence)


def test_a_damaged_checkpoint_is_told(run, cnnlab):
    first, second = sorted((run / "checkpoints").iterdir())[-2:]
    best = json.loads((run / "status.json").read_text())["best"]["step"]
    damaged, other = (first, second) if first.name.endswith(f"{best:08d}") else (second, first)
    assert damaged.name.endswith(f"{best:08d}")
    file = max((path for path in damaged.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    ended = cnnlab("predict", run, zeros(1, 6, 6))
    assert ended.code == 0
    assert len(ended.out.splitlines()) == 2
    notes = ended.err.splitlines()
    assert [note.partition(": ")[0] for note in notes] == ["note", "note"]
    assert notes[1] == f"note: step {int(other.name.split('-')[1])} is used instead"
