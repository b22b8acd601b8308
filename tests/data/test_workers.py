"""Processes that read ahead: the batches of threads, in their order; they end when they are to, however that comes."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnlab.data import workers as module
from cnnlab.data.batches import epoch_order, share, steps_per_epoch, training_batch
from cnnlab.data.prepare import Prepared, prepare
from cnnlab.data.workers import Rows, Workers, check_workers
from cnnlab.errors import DataError, WorkerError
from cnnlab.spec.data import ImageFolder
from cnnlab.spec.split import Split

SEED, BATCH, COUNT = 3, 4, 21
ALL_TRAIN = Split(train=1, validation=0, test=0)
LINUX = sys.platform == "linux"


def write(folder: Path) -> None:
    random = np.random.default_rng(0)
    for i in range(COUNT):
        path = folder / "images" / "ab"[i % 2] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 6, 3), dtype=np.uint8)).save(path)


def prepared(folder: Path, **keys: Any) -> Prepared:
    keys = {"memory": "0B", "split": ALL_TRAIN, **keys}
    return prepare(ImageFolder(source="image_folder", path="images", **keys), folder, SEED)


def batch(data: Prepared, epoch: int, i: int) -> np.ndarray:
    """As threads read it."""
    return training_batch(data, epoch_order(data, SEED, epoch), i, BATCH).x


def read_on(workers: Workers, numbers: range) -> None:
    """Reads on, whatever is wrong with a file."""
    for number in numbers:
        with suppress(DataError):
            workers.reading(*divmod(number, steps_per_epoch(COUNT, BATCH))).result()


def gone(pids: list[int]) -> bool:
    """Whether none of them runs any more, after a while."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        running = [pid for pid in pids if "spawn_main" in command_of(pid)]
        if not running:
            return True
        time.sleep(0.02)
    return False


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """What came of two processes that read from the middle of an epoch on; a file is lost, one of them killed."""
    pytest.importorskip("grain", reason="pip install 'cnnlab[grain]'")
    folder = tmp_path_factory.mktemp("workers")
    write(folder)
    data = prepared(folder)
    steps = steps_per_epoch(COUNT, BATCH)
    wanted = [divmod(number, steps) for number in range(steps + 2, steps + 2 + 9)]
    expected = [batch(data, *place) for place in wanted]
    others = (batch(data, 0, 1), batch(data, 0, 2), batch(data, 0, 4))
    main, found = sys.modules["__main__"], SimpleNamespace(data=data)
    workers = Workers(2, Rows(data, SEED, BATCH))
    try:
        coming = [workers.reading(*place) for place in wanted]
        found.same = [np.array_equal(one.result(), other) for one, other in zip(coming, expected, strict=True)]
        found.kinds = {type(one.result()) for one in coming}
        found.pids = [process.pid for process in workers.processes]
        found.main_is_back = sys.modules["__main__"] is main
        if LINUX:
            found.maps = [Path(f"/proc/{pid}/maps").read_text() for pid in found.pids]
            status = [Path(f"/proc/{pid}/status").read_text() for pid in found.pids]
            found.blocked = [int(text.partition("SigBlk:\t")[2].partition("\n")[0], 16) for text in status]

        lost = data.splits["train"][epoch_order(data, SEED, 0)][BATCH * 3]  # the first example of batch 3 of epoch 0
        files = data.dataset.files or ()
        found.lost = files[lost]
        (folder / "images" / found.lost).unlink()
        coming = [workers.reading(0, i) for i in (1, 2, 3, 4)]  # not the next ones: the processes are started anew
        found.again = [np.array_equal(coming[i].result(), others[j]) for j, i in enumerate((0, 1, 3))]
        with pytest.raises(DataError) as error:
            coming[2].result()
        found.error = error.value
        found.later = [process.pid for process in workers.processes]

        os.kill(found.later[1], signal.SIGKILL)
        with pytest.raises(WorkerError) as ended:
            read_on(workers, range(5, 40))  # what was read before it was killed comes still
        found.ended = ended.value
        with pytest.raises(WorkerError):  # and nothing in a wrong order
            workers.reading(0, 0).result()
    finally:
        workers.close()
    found.left = [process for process in multiprocessing.active_children() if process.pid in found.later]
    return found


def test_the_batches_are_those_of_threads_across_epochs_and_in_order(read):
    assert read.same == [True] * 9
    assert read.again == [True] * 3
    assert read.kinds == {np.ndarray}


@pytest.mark.skipif(not LINUX, reason="looks at /proc")
def test_processes_import_no_jax_and_hear_no_signals_of_the_terminal(read):
    assert len(set(read.pids)) == 2
    assert all("numpy" in maps and "jaxlib" not in maps for maps in read.maps)
    for number in (signal.SIGINT, signal.SIGTERM):
        assert all(blocked >> (number - 1) & 1 for blocked in read.blocked)
    assert read.main_is_back


def test_an_error_in_a_file_is_its_sentence_at_its_batch(read):
    assert str(read.error) == (
        f"images/{read.lost}: cannot read the image: No such file or directory; repair or remove it"
    )
    assert read.error.exit_code == 2


def test_a_process_that_is_killed_is_a_sentence_and_the_others_end(read):
    assert str(read.ended) == (
        "data.workers: a process that reads images was ended by SIGKILL; "
        "--resume continues the run; fewer data.workers take less memory"
    )
    assert read.ended.exit_code == 1
    assert set(read.pids).isdisjoint(read.later)
    assert read.left == []
    if LINUX:
        assert gone(read.pids + read.later)


ORPHANS = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [sys.argv[2]]
from tests.data.test_workers import BATCH, SEED, prepared
from cnnlab.data.workers import Rows, Workers
workers = Workers(2, Rows(prepared(Path(sys.argv[1])), SEED, BATCH))
workers.reading(0, 0).result()
print(*(process.pid for process in workers.processes), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not LINUX, reason="looks at /proc")
def test_they_end_with_a_program_that_is_killed(tmp_path):
    pytest.importorskip("grain", reason="pip install 'cnnlab[grain]'")
    write(tmp_path)
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", ORPHANS, tmp_path, root], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pids = list(map(int, done.stdout.split()))
    assert len(pids) == 2
    assert gone(pids)
    assert done.stderr == ""


@pytest.mark.parametrize("keys", [{}, {"cache": "cache"}, {"crop": 3, "resize": 5}, {"sampling": {"a": 3}}])
def test_what_a_process_has_reads_the_batches_of_an_epoch(tmp_path, keys):
    """Sent as it is sent to a process, with nothing of the look at all images."""
    write(tmp_path)
    data = prepared(tmp_path, **keys)
    sent = pickle.loads(pickle.dumps(Rows(data, SEED, BATCH)))
    halves = [pickle.loads(pickle.dumps(Rows(data, SEED, BATCH, (half, 2)))) for half in (0, 1)]
    assert len(sent.x.survey.digests) == 0
    for number in (0, 5, 7, 6 * 40 + 3):
        expected = batch(data, *divmod(number, steps_per_epoch(COUNT, BATCH)))
        np.testing.assert_array_equal(sent[number], expected)
        for half in (0, 1):
            rows = share(np.arange(BATCH), half, 2)
            np.testing.assert_array_equal(halves[half][number], expected[rows])
    assert sent.nbytes == expected.nbytes == 2 * halves[0].nbytes


class Refused(Exception):
    """An error that does not go through a pipe."""

    def __init__(self, one: int, two: int):
        super().__init__(f"{one} and {two}")


def test_errors_go_through_a_pipe(tmp_path, monkeypatch):
    write(tmp_path)
    rows = Rows(prepared(tmp_path), SEED, BATCH)
    told = {
        MemoryError("no room"): (MemoryError, "no room"),
        DataError("broken", where="a.png", hint="mend it"): (DataError, "a.png: broken; mend it"),
        Refused(1, 2): (RuntimeError, "Refused: 1 and 2"),
    }
    for error, (kind, words) in told.items():

        def fail(self, place, error=error):
            raise error

        monkeypatch.setattr(type(rows.x), "read", fail)
        found = pickle.loads(pickle.dumps(rows[0]))
        assert type(found) is kind
        assert str(found) == words


def test_without_grain_it_is_said_before_anything_is_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    data = ImageFolder(source="image_folder", path="images")
    check_workers(data)
    sentence = "data.workers: Grain is not installed; pip install 'cnnlab[grain]', or leave data.workers out"
    with pytest.raises(DataError) as error:
        check_workers(data.model_copy(update={"workers": 2}))
    assert str(error.value) == sentence


def test_too_little_shared_memory_is_a_sentence(tmp_path, monkeypatch):
    pytest.importorskip("grain", reason="pip install 'cnnlab[grain]'")
    write(tmp_path)
    monkeypatch.setattr(module.os, "statvfs", lambda _: SimpleNamespace(f_bavail=1, f_frsize=2**11))
    workers = Workers(2, Rows(prepared(tmp_path), SEED, BATCH))
    with pytest.raises(DataError, match=r"^data.workers: their batches may take 0 MiB of /dev/shm, which has 0; fewer"):
        workers.reading(0, 0).result()
    assert workers.processes == []
    workers.close()


def test_images_in_memory_need_no_processes(tmp_path):
    write(tmp_path)
    data = prepared(tmp_path, memory="1MiB", workers=2)
    assert isinstance(data.dataset.x, np.ndarray)
    assert "data.workers: 2 is not used: the images are in memory, as they fit data.memory" in data.notes
    assert not any("workers" in note for note in prepared(tmp_path, workers=2).notes)
