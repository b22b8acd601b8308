"""The sentence on where the time goes."""

import numpy as np

from cnnlab.data.stored import StoredImages
from cnnlab.data.survey import survey
from cnnlab.spec.data import Digits, ImageFolder
from cnnlab.train import waiting
from cnnlab.train.waiting import Clock, hints, sentence
from tests.data.test_survey import Array


def folder(**keys) -> ImageFolder:
    return ImageFolder(source="image_folder", path="images", **keys)


def test_what_is_told():
    assert sentence(10, 1.5, 4000, "8 x 9", ("do this",)) == (
        "waiting for images takes 15% of the time of training, computing 85% (400 images/s of 8 x 9 from files)"
    )
    assert sentence(10, 6, 4000, "8 x 9", ("do this", "do that")).endswith(
        "waiting for images takes 60% of the time of training, computing 40% (400 images/s of 8 x 9 from files); "
        "data is the bottleneck: do this, or do that"
    )


def test_what_is_advised_is_not_done_yet():
    cache, size, memory = "keep them decoded (data.cache: a folder)", "choose a smaller data.resize", "3MiB"
    fast = "pip install 'cnnlab[fast-images]' and set data.decode: simplejpeg"
    memory = "keep them in memory (data.memory: 3MiB)"
    assert hints(folder(), 2**21 + 1) == (cache, size, memory, fast)
    assert hints(folder(decode="simplejpeg"), 2**21 + 1) == (cache, size, memory)
    assert hints(folder(cache="pixels"), 2**21 + 1) == (size, memory)
    assert hints(Digits(source="digits"), 2**21) == (size,)


def test_processes_are_advised_where_threads_leave_processors_idle(monkeypatch):
    monkeypatch.setattr(waiting, "processors", lambda: 4)
    told = "read them in processes, as threads left 1.7 processors idle (data.workers: 4)"
    assert told in hints(folder(), 2**20, idle=1.7)
    assert not [hint for hint in hints(folder(), 2**20, idle=0.4) if "workers" in hint]
    assert not [hint for hint in hints(folder(workers=2), 2**20, idle=1.7) if "workers" in hint]


def test_the_clock_starts_when_the_first_step_is_begun(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(waiting.time, "perf_counter", lambda: now[0])
    x = np.zeros((4, 8, 9, 3), np.uint8)
    clock = Clock(folder(), StoredImages(Array(x), survey(x.__getitem__, 4)))
    assert clock.told(0) is None
    now[0] = 100.0
    clock.step(16, 50.0)
    assert clock.told(50.0) is None
    clock.step(16, 51.0)
    clock.step(16, 51.0)
    now[0] = 108.0
    told = clock.told(51.0)
    assert told is not None
    assert told.startswith("waiting for images takes 12% of the time of training, computing 88% (4 images/s")


def test_the_clock_knows_how_many_processors_were_idle(monkeypatch):
    now = {"perf_counter": 0.0, "process_time": 0.0}
    for name in now:
        monkeypatch.setattr(waiting.time, name, lambda name=name: now[name])
    monkeypatch.setattr(waiting, "processors", lambda: 3)
    x = np.zeros((4, 8, 9, 3), np.uint8)
    clock = Clock(folder(), StoredImages(Array(x), survey(x.__getitem__, 4)))
    clock.step(16, 0.0)
    clock.step(16, 8.0)
    now.update(perf_counter=10.0, process_time=12.0)
    told = clock.told(8.0)
    assert told is not None
    assert "as threads left 1.8 processors idle (data.workers: 3)" in told
