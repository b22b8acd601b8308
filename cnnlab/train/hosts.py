"""What the processes of a job tell each other: a few words between steps, and the state at the start.

A job is several processes of `jax.distributed` that train one network together (see job.py); without one this process
is all there is, and each function here gives back what it was given.

Words go by JAX's coordinator, not by the devices: a process may keep the others waiting for them as long as it has to,
whereas gloo gives up where one comes 30 seconds late to the first sum (jax 0.10.2).
"""

import re
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from cnnlab.errors import HostError
from cnnlab.train import devices

POLL = 1000  # milliseconds between two looks at whether another process has ended
SOON = 2.0  # seconds within which it is known which process has ended
GONE = "process 0 has ended without a word"
_OF_CONNECTIONS = re.compile("gloo|nccl|connection|socket|unavailable|coordination", re.IGNORECASE)
ENDED, HEARD, WORDS = "cnnlab/ended/", "cnnlab/heard/", "cnnlab/words/"


class Channel:
    """The words of one process to those of its job. `client` is that of `jax.distributed`."""

    def __init__(self, client: Any, process: int, processes: int):
        self._client, self.process, self.processes, self._said = client, process, processes, 0

    def gathered(self, mine: str) -> list[str]:
        """What each process says here, in their order. All have to say something, and the same number of times.

        Raises HostError as soon as one of them has ended.
        """
        place = f"{WORDS}{self._said}/"
        self._client.key_value_set(f"{place}{self.process}", mine)
        said = [self._awaited(f"{place}{process}") for process in range(self.processes)]
        if self._said:  # who has spoken here has heard what was said before
            self._client.key_value_delete(f"{WORDS}{self._said - 1}/{self.process}")
        self._said += 1
        return said

    def _awaited(self, key: str) -> str:
        while True:
            try:
                return self._client.blocking_key_value_get(key, POLL)
            except jax.errors.JaxRuntimeError as error:
                told = self.ended() if "DEADLINE_EXCEEDED" in str(error) else GONE
            if told is not None:
                raise HostError(told)

    def end(self, why: str) -> None:
        """Tell the others that this process ends, unless one has ended before."""
        if self.ended() is None:
            self._client.key_value_set(f"{ENDED}{self.process}", why)

    def ended(self) -> str | None:
        """The sentence on a process that has said that it ends; None while there is none."""
        try:
            said = self._client.key_value_dir_get(ENDED)
        except jax.errors.JaxRuntimeError:
            return GONE
        return f"process {said[0][0].rpartition('/')[2]} has ended: {said[0][1]}" if said else None

    def hear(self) -> None:
        """Tell process 0 that its end is known here."""
        self._client.key_value_set(f"{HEARD}{self.process}", "")

    def all_know(self) -> bool:
        """Whether all but process 0 know of an end."""
        told = [*self._client.key_value_dir_get(HEARD), *self._client.key_value_dir_get(ENDED)]
        return {key.rpartition("/")[2] for key, _ in told} >= {str(i) for i in range(1, self.processes)}


_open: dict[str, Channel] = {}


def open_channel(channel: Channel | None) -> None:
    """From here on this process is one of a job; with None it is alone again."""
    _open.clear()
    if channel is not None:
        _open["job"] = channel


def process() -> int:
    """The number of this process, from 0. Process 0 writes the run; the others compute along."""
    return _open["job"].process if _open else 0


def processes() -> int:
    """How many processes train together."""
    return _open["job"].processes if _open else 1


def gathered(mine: str) -> list[str]:
    """What each process says here, in their order; see `Channel.gathered`."""
    return _open["job"].gathered(mine) if _open else [mine]


def first(value: int) -> int:
    """What process 0 says."""
    return int(gathered(str(value))[0])


def largest(value: int) -> int:
    """The largest of what the processes say."""
    return max(map(int, gathered(str(value))))


def all_of(answer: Callable[[], bool]) -> bool:
    """Whether every process says yes."""
    return bool(-largest(-int(answer()))) if _open else answer()


def lost(why: str) -> str | None:
    """The sentence for work that failed so where that is because another process has ended; None where it is not."""
    if not _open:
        return None
    until = time.monotonic() + SOON
    while time.monotonic() < until:
        if (told := _open["job"].ended()) is not None:
            return told
        time.sleep(0.1)
    return "another process has ended without a word" if _OF_CONNECTIONS.search(why) else None


def from_first(tree: Any, mesh: Mesh | None) -> Any:
    """Process 0's arrays, to the bit, on the host; the tree of the others has the same form.

    They go by the devices of the mesh, as bytes: their sum with the others' zeros is exact. All processes are there
    when it begins, so that gloo connects them in time.
    """
    if not _open or mesh is None:
        return tree
    leaves, form = jax.tree.flatten(jax.tree.map(np.asarray, tree))
    mine = np.concatenate([np.frombuffer(leaf.tobytes(), np.uint8) for leaf in leaves])
    parts = mesh.devices.size // processes()
    rows = np.zeros((parts, len(mine)), np.uint8)
    if process() == 0:
        rows[0] = mine
    gathered("")
    total = jax.jit(lambda rows: rows.sum(0, dtype=np.uint8), out_shardings=devices.everywhere(mesh))
    received, found, start = np.asarray(total(devices.whole(rows, mesh))), [], 0
    for leaf in leaves:
        part = received[start : start + leaf.nbytes]
        found.append(np.frombuffer(part.tobytes(), leaf.dtype).reshape(leaf.shape))
        start += leaf.nbytes
    return jax.tree.unflatten(form, found)
