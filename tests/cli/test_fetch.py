"""`cnnlab data fetch`: what it prints, and every data set from a server on loopback through its source."""

import gzip
import io
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from cnnlab.cli.data import COMMANDS
from cnnlab.data.dataset import load
from cnnlab.data.fetch.addresses import DATASETS
from cnnlab.spec.schema import Experiment
from tests.data import test_cifar, test_idx, test_oxford_pet, test_stl10
from tests.data.fetch.site import Fault, serve, tar

random = np.random.default_rng(0)
MODEL = {"layers": [{"dense": "classes"}]}


@pytest.fixture
def site(monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    with serve() as served:
        yield served


def idx_files() -> dict[str, bytes]:
    """40 and 20 images of 8x8, their label in the brightness of a row."""
    files = {}
    for split, count in (("train", 40), ("t10k", 20)):
        y = (np.arange(count) % 4).astype(np.uint8)
        x = random.integers(0, 100, (count, 8, 8), np.uint8)
        x[np.arange(count), 2 * y] += 150
        files[f"{split}-images-idx3-ubyte.gz"] = gzip.compress(test_idx.idx(x))
        files[f"{split}-labels-idx1-ubyte.gz"] = gzip.compress(test_idx.idx(y))
    return files


def picture(size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(out, "JPEG")
    return out.getvalue()


def imagenette_files(inner: str) -> dict[str, bytes]:
    names = [(split, wnid, i) for split in ("train", "val") for wnid in ("n01440764", "n03888257") for i in range(3)]
    files = {f"{inner}/{split}/{wnid}/{wnid}_{i}.JPEG": picture((20, 17 + i)) for split, wnid, i in names}
    return {f"{inner}.tgz": tar({f"{inner}/noisy_imagenette.csv": b"path,noisy_labels_0\n", **files})}


def pet_files(folder: Path) -> dict[str, bytes]:
    test_oxford_pet.write(folder)
    archives = {}
    for part in ("images", "annotations"):
        paths = [path for path in (folder / part).rglob("*") if path.is_file()]
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        archives[f"{part}.tar.gz"] = tar({**files, f"{part}/._junk": b"?"}, "w")  # plain tar, whatever its name says
    return archives


def real_format(name: str, folder: Path) -> dict[str, bytes]:
    """The data set's files, small, in the form in which their publishers have them."""
    match name:
        case "mnist" | "fashion-mnist" | "kmnist":
            return idx_files()
        case "cifar10":
            files = test_cifar.cifar10("binary")
            return {"cifar-10-binary.tar.gz": tar({f"cifar-10-batches-bin/{key}": files[key] for key in files})}
        case "cifar100":
            files = test_cifar.cifar100("binary")
            return {"cifar-100-binary.tar.gz": tar({f"cifar-100-binary/{key}": files[key] for key in files})}
        case "stl10":
            files = test_stl10.stl10()
            return {"stl10_binary.tar.gz": tar({f"stl10_binary/{key}": files[key] for key in files})}
        case "oxford-pet":
            return pet_files(folder)
    return imagenette_files(DATASETS[name].inner)


LOADED = {
    **dict.fromkeys(("mnist", "fashion-mnist", "kmnist"), ("idx", (60, 8, 8, 1), 4, {"train": 40, "test": 20})),
    "cifar10": ("cifar10", (24, 32, 32, 3), 4, {"train": 20, "test": 4}),
    "cifar100": ("cifar100", (8, 32, 32, 3), 4, {"train": 4, "test": 4}),
    "stl10": ("stl10", (6, 96, 96, 3), 3, {"train": 4, "test": 2}),
    "imagenette": ("image_folder", (12, 224, 224, 3), 2, {"train": 6, "validation": 6}),
    "imagenette-320": ("image_folder", (12, 224, 224, 3), 2, {"train": 6, "validation": 6}),
    "imagenette-160": ("image_folder", (12, 128, 128, 3), 2, {"train": 6, "validation": 6}),
    "oxford-pet": ("oxford_pet", (6, 128, 128, 3), 3, {"train": 4, "test": 2}),
}


@pytest.mark.parametrize("name", DATASETS)
def test_what_is_fetched_is_loaded_by_the_lines_that_are_printed(site, cnnlab, tmp_path, monkeypatch, name):
    published = site.publish(DATASETS[name], real_format(name, tmp_path / "made"))
    if name == "imagenette":  # the one whose publishers' sum is an MD5
        assert DATASETS[name].files[0].checksum.startswith("md5:")
    monkeypatch.setitem(DATASETS, name, published)
    ended = cnnlab("data", "fetch", name)
    assert ended.code == 0, ended.err
    data = yaml.safe_load(ended.out)["data"]
    assert Path(data["path"]).is_relative_to(tmp_path / "data" / name)
    experiment = Experiment.model_validate({"data": data, "model": MODEL})
    loaded = load(experiment.data, Path("/"))
    source, shape, classes, given = LOADED[name]
    assert (loaded.source, loaded.x.shape, len(loaded.classes)) == (source, shape, classes)
    assert {split: len(indices) for split, indices in loaded.given.items()} == given
    assert loaded.notes == ()
    assert published.licence in ended.err
    assert published.homepage in ended.err


def test_from_the_fetch_to_a_trained_network(site, cnnlab, monkeypatch):
    monkeypatch.setitem(DATASETS, "mnist", site.publish(DATASETS["mnist"], idx_files()))
    lines = cnnlab("data", "fetch", "MNIST", "--to", "digits").out
    Path("spec.yaml").write_text(
        f"{lines}  batch_size: 8\nmodel: {{layers: [flatten, dense: classes]}}\ntrain: {{epochs: 1}}\n"
    )
    ended = cnnlab("train", "spec.yaml", "--quiet", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["metrics"]["n"] == 20


def test_what_is_printed(site, cnnlab, tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "mnist", site.publish(DATASETS["mnist"], idx_files()))
    site.faults["/0/t10k-labels-idx1-ubyte.gz"] = iter([Fault(stop=20)])
    folder = tmp_path / "data" / "mnist"
    ended = cnnlab("data", "fetch", "mnist")
    assert ended.out == f"data:\n  source: idx\n  path: {folder}\n"
    size = len(site.files["/0/t10k-labels-idx1-ubyte.gz"])
    address = site.address("/0/t10k-labels-idx1-ubyte.gz")
    head = (
        "mnist: handwritten digits, 70,000 of 28x28 (LeCun, Cortes, Burges 1998)\n"
        "licence: CC BY-SA 3.0, as Keras states it; the homepage names none\n"
        "homepage: http://yann.lecun.com/exdb/mnist/\n"
    )
    note = f"note: {address}: the connection ended after 20 of {size} bytes; trying again\n"
    tail = f"{folder}; 4 files with the published checksum\n"
    assert ended.err == f"{head}{note}fetched to {tail}"
    assert cnnlab("data", "fetch", "mnist").err == f"{head}is there already, in {tail}"
    found = json.loads(cnnlab("data", "fetch", "mnist", "--json").out)
    assert found["data"] == {"source": "idx", "path": str(folder)}
    assert (found["name"], len(found["files"])) == ("mnist", 4)


def test_a_path_that_yaml_would_misread(site, cnnlab, tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "mnist", site.publish(DATASETS["mnist"], idx_files()))
    ended = cnnlab("data", "fetch", "mnist", "--to", "my: [data] #1")
    assert yaml.safe_load(ended.out)["data"]["path"] == str(tmp_path / "my: [data] #1")


def test_a_bar_on_a_terminal_alone(site, cnnlab, monkeypatch):
    monkeypatch.setitem(DATASETS, "cifar10", site.publish(DATASETS["cifar10"], real_format("cifar10", Path())))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    ended = cnnlab("data", "fetch", "cifar10")
    assert ended.code == 0
    assert ended.out.startswith("data:\n  source: cifar10\n")
    assert "downloading cifar-10-binary" in ended.err


def test_the_list(cnnlab):
    ended = cnnlab("data", "fetch", "--list")
    assert (ended.code, ended.err) == (0, "")
    rows = [line.split() for line in ended.out.splitlines()[3:] if line]
    assert [row[0] for row in rows] == list(DATASETS)
    assert rows[0][-4:] == ["12", "MB", "12", "MB"]
    found = json.loads(cnnlab("data", "fetch", "--list", "--json").out)
    assert list(found) == list(DATASETS)
    assert found["stl10"]["download_bytes"] == 2640397119


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fashon-mnist",), "fetch: no data set 'fashon-mnist'; did you mean 'fashion-mnist'?\n"),
        ((), "fetch: no data set named; there are mnist, "),
        (("mnist", "--list"), "fetch: --list stands alone; leave NAME and --to out, or --list\n"),
    ],
)
def test_what_is_wrong_is_a_sentence(cnnlab, arguments, message):
    ended = cnnlab("data", "fetch", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(message)
    assert ended.err.count("\n") == 1


def test_a_network_that_fails_is_a_sentence(site, cnnlab, monkeypatch):
    monkeypatch.setitem(DATASETS, "mnist", site.publish(DATASETS["mnist"], idx_files()))
    site.faults["/0/t10k-images-idx3-ubyte.gz"] = itertools.repeat(Fault(status=404))
    ended = cnnlab("data", "fetch", "mnist")
    assert (ended.code, ended.out) == (1, "")
    host = f"127.0.0.1:{site.port}"
    sentence = f"t10k-images-idx3-ubyte.gz: cannot be fetched ({host}: HTTP 404 Not Found); try again later\n"
    assert ended.err.endswith(sentence)


def test_ctrl_c(site, cnnlab, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cnnlab.data.fetch.download", interrupted)
    monkeypatch.setitem(DATASETS, "mnist", site.publish(DATASETS["mnist"], idx_files()))
    ended = cnnlab("data", "fetch", "mnist")
    assert (ended.code, ended.out) == (130, "")
    assert ended.err.endswith("interrupted; what came is kept; the same command goes on where it stopped\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_data_command_has_help_for_all_it_takes(cnnlab, command):
    from typer.main import get_command

    from cnnlab.cli.data import app

    ended = cnnlab("data", command, "--help")
    assert (ended.code, ended.err) == (0, "")
    words = " ".join(ended.out.split())
    assert words.startswith(f"Usage: cnnlab data {command} ")
    group = get_command(app)
    found = group.commands[command] if hasattr(group, "commands") else group
    for parameter in found.params:
        if parameter.name not in ("help", "install_completion", "show_completion"):
            assert parameter.help, parameter.name
            assert " ".join(parameter.help.split()) in words
