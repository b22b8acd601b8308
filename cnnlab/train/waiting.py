"""Where the time of training goes whose images come from files: told once, with what to do."""

import time

from cnnlab.data.memory import processors
from cnnlab.data.stored import StoredImages
from cnnlab.spec.images import ImageKeys

IDLE = 0.5  # processors; with fewer to spare, processes would gain nothing on threads
ENOUGH = 0.2  # of the time; who waits longer gains by faster data


class Clock:
    """Counts from the end of the first step on, before which the program is compiled."""

    def __init__(self, keys: object, x: StoredImages):
        self._keys, self._needed, self._size = keys, x.nbytes, " x ".join(map(str, x.shape[1:-1]))
        self._started = self._before = self._worked = 0.0
        self._steps = self._images = 0

    def step(self, images: int, waited: float) -> None:
        """A step with so many images was begun; `waited` seconds went by for data, of this run so far."""
        self._steps += 1
        if self._steps == 1:
            self._started, self._before, self._worked = time.perf_counter(), waited, time.process_time()
        else:
            self._images += images

    def told(self, waited: float) -> str | None:
        """The sentence, when the last step is done; None after fewer than two."""
        if self._steps < 2:
            return None
        seconds, busy = time.perf_counter() - self._started, time.process_time() - self._worked
        found = hints(self._keys, self._needed, idle=processors() - busy / seconds)
        return sentence(seconds, waited - self._before, self._images, self._size, found)


def sentence(seconds: float, waited: float, images: int, size: str, hints: tuple[str, ...]) -> str:
    """What became of the `seconds` in which `images` of `size` were trained on, and how `waited` becomes less."""
    share = waited / seconds
    told = f"waiting for images takes {share:.0%} of the time of training, computing {1 - share:.0%}"
    told += f" ({images / seconds:,.0f} images/s of {size} from files)"
    if share <= ENOUGH:
        return told
    return f"{told}; data is the bottleneck: {', or '.join(hints)}"


def hints(keys: object, needed: int, *, idle: float = 0) -> tuple[str, ...]:
    """What makes images in files faster to read, of what a spec does not do yet; all of them take `needed` bytes.

    idle: processors that had nothing to do meanwhile. Threads leave them so where a decoder holds Python's lock.
    """
    if not isinstance(keys, ImageKeys):
        return ("choose a smaller data.resize",)
    found = () if keys.cache is not None else ("keep them decoded (data.cache: a folder)",)
    if not keys.workers and idle > IDLE:
        found += (f"read them in processes, as threads left {idle:.1f} processors idle (data.workers: {processors()})",)
    found += ("choose a smaller data.resize", f"keep them in memory (data.memory: {-(-needed // 2**20)}MiB)")
    if keys.cache is None and keys.decode != "simplejpeg":
        found += ("pip install 'cnnlab[fast-images]' and set data.decode: simplejpeg",)
    return found
