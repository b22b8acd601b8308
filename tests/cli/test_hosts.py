"""Two processes on one machine train one run: the figures of one process, the same bits, one end for both."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.photos import write_photos
from tests.runs.test_training import arrays, table

SPEC = """\
name: photos
data: {source: image_folder, path: photos, resize: 6, batch_size: 8, augment: [noise: 0.1, mixup: 0.2]}
model: {layers: [flatten, dense: 8, batch_norm, relu, dropout: 0.2, dense: classes]}
optimizer: {name: sgd, learning_rate: 0.05}
train: {epochs: 3}
"""
# The command line; it writes which images were read again in training, and may end in the middle of it.
COMMAND = """
import os, signal, sys
from cnnlab.cli import command
from cnnlab.data.stored import StoredImages
from cnnlab.runs.signals import StopSignals
read, asked, questions = StoredImages.read, StopSignals.asked_to_stop, []

def noted(self, place):
    with open(os.environ["READ"], "a") as file:
        file.write(f"{place}\\n")
    return read(self, place)

def asked_to_stop(self):
    questions.append(None)
    if len(questions) == int(os.environ.get("STOP_AT", 0)):
        os.kill(os.getpid(), signal.SIGTERM)
    return asked(self)

StoredImages.read, StopSignals.asked_to_stop = noted, asked_to_stop
command()
"""


def together(folder: Path, *arguments: str, each: tuple[tuple[str, ...], ...] = ((), ()), stop_at: int = 0):
    """Exit code, stdout and stderr of two processes of one job; `each` adds to the arguments of one. With `stop_at`
    process 1 gets a SIGTERM when it asks for the so manieth time whether there was one."""
    with socket.create_server(("localhost", 0)) as free:
        job = ["--coordinator", f"localhost:{free.getsockname()[1]}", "--processes", "2", "--process"]
    begun = []
    for i, own in enumerate(each):
        root = str(Path(__file__).parents[2])
        environment = {**os.environ, "PYTHONPATH": root, "READ": str(folder / f"read{i}"), "CNNLAB_KERNELS": "off"}
        if stop_at and i == 1:
            environment["STOP_AT"] = str(stop_at)
        command = [sys.executable, "-c", COMMAND, "train", *arguments, *own, *job, str(i)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        begun.append(subprocess.Popen(command, cwd=folder, env=environment, **pipes))
    try:
        said = [process.communicate(timeout=120) for process in begun]
    finally:
        for process in begun:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(begun, said, strict=True)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty images of two classes and a spec; the run `one` of a single process, which read what is in `read`."""
    from cnnlab.cli import main
    from cnnlab.data.stored import StoredImages

    folder = tmp_path_factory.mktemp("hosts")
    write_photos(folder, (8, 8), ".png")
    (folder / "photos.yaml").write_text(SPEC)
    reading, places = StoredImages.read, []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(StoredImages, "read", lambda self, place: (places.append(place), reading(self, place))[1])
        patch.setattr(sys, "argv", ["cnnlab", "train", "photos.yaml", "--run", "one", "data.memory=1KiB", "--quiet"])
        with pytest.raises(SystemExit) as ended:
            main()
    assert not ended.value.code
    (folder / "read").write_text("\n".join(map(str, places)))
    return folder


@pytest.fixture(scope="module")
def streamed(folder: Path):
    """How the run `two` of two processes ended, whose images stay in their files."""
    return together(folder, "photos.yaml", "--run", "two", "data.memory=1KiB", "--json")


def trained(run: Path) -> list[dict[str, str]]:
    rows = table(run / "history.csv")
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows]


def last(run: Path) -> dict[str, bytes]:
    from cnnlab.train import checkpoint

    return arrays(checkpoint.stored(run / "checkpoints")[-1])


def test_two_processes_come_to_the_figures_of_one(folder, streamed):
    (code, out, err), other = streamed
    assert code == 0, err
    assert other == (0, "", "")
    metrics = json.loads(out)["metrics"]
    alone = json.loads((folder / "one/eval/test/metrics.json").read_text())
    assert metrics["confusion_matrix"] == alone["confusion_matrix"]
    assert metrics["loss"] == pytest.approx(alone["loss"], rel=1e-4)
    for two, one in zip(trained(folder / "two"), trained(folder / "one"), strict=True):
        assert {k: float(v) for k, v in two.items()} == pytest.approx({k: float(v) for k, v in one.items()}, rel=1e-4)
    assert json.loads((folder / "two/environment.json").read_text())["processes"] == 2
    assert json.loads((folder / "two/status.json").read_text())["status"] == "finished"


def test_each_process_reads_its_share_of_the_images(folder, streamed):
    read, by_first, by_other = (Counter((folder / name).read_text().split()) for name in ("read", "read0", "read1"))
    assert by_first + by_other == read
    split = {row["index"]: row["split"] for row in table(folder / "two/splits.csv")}
    training = [sum(n for i, n in found.items() if split[i] == "train") for found in (by_first, by_other)]
    assert training == [3 * 6 * 4] * 2, "of three epochs with six batches of eight images"
    assert {split[i] for i in by_other} == {"train", "validation"}, "the test split is looked at by process 0"


def test_a_signal_to_one_stops_both_and_resuming_gives_the_same_bits(folder, streamed):
    (code, out, err), other = together(folder, "photos.yaml", "--run", "again", "--json", stop_at=6)
    assert (code, out) == (128 + signal.SIGTERM, "")
    step = json.loads((folder / "again/status.json").read_text())["reason"].removeprefix("SIGTERM at step ")
    assert 0 < int(step) < 18
    assert err.splitlines()[-1] == (f"interrupted by SIGTERM at step {step}; saved in again; --resume continues it")
    assert other == (code, "", f"interrupted by SIGTERM at step {step}; process 0 saves\n")

    (code, out, err), other = together(folder, "photos.yaml", "--run", "again", "--resume", "--json")
    assert code == 0, err
    assert other == (0, "", "")
    assert trained(folder / "again") == trained(folder / "two"), "in memory as from files, in one go or in two"
    assert last(folder / "again") == last(folder / "two")
    assert json.loads(out)["metrics"] == json.loads(streamed[0][1])["metrics"]


def test_processes_that_are_to_train_different_things_say_so(folder):
    ended = together(folder, "photos.yaml", "--run", "never", each=((), ("train.epochs=4",)))
    sentence = "process 1 has train.epochs = 4, and process 0 3; give all processes the same spec, data and cnnlab\n"
    assert ended == [(2, "", sentence)] * 2
    assert not (folder / "never").exists()
