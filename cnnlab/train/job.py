"""The life of a job: several processes of `jax.distributed`, from when they find each other to when all are done.

One that fails says so to the others, and all end with a sentence. A process that is killed without a word is found by
gloo, on CPUs at once; on GPUs by JAX's heartbeats, after 100 seconds. Where process 0 is killed, or its machine is
gone, JAX itself ends the others, at once, with a message of its own (jax 0.10.2).
"""

import atexit
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnlab.errors import CnnlabError, HostError, Interrupted, SpecError

if TYPE_CHECKING:
    from cnnlab.train.hosts import Channel

AUTO = "auto"
WAIT = 300.0  # seconds that the processes of a job have to come
LOOK = 0.2  # seconds between two looks at whether another process has ended
FAREWELL = 3.0  # seconds that process 0 stays for the others to hear why it ends
PATIENCE = 10.0  # seconds in which process 0 is to notice by itself what it waits for in vain
LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]")


@dataclass(frozen=True)
class Place:
    """The address of process 0 in a job, how many processes it has, the number of this one. None: JAX finds out."""

    coordinator: str | None
    processes: int | None = None
    process: int | None = None


def place(coordinator: str | None, processes: int | None, process: int | None) -> Place | None:
    """What the options of the command line say; None where there is one process. Raises SpecError."""
    numbers = (processes, process)
    if coordinator is None:
        if numbers != (None, None):
            raise SpecError("--processes and --process belong to a job", hint="add --coordinator HOST:PORT")
        return None
    if coordinator == AUTO:
        if numbers != (None, None):
            message = "--coordinator auto finds the number of processes and this one's itself"
            raise SpecError(message, hint="leave --processes and --process out")
        return Place(None)
    port = re.fullmatch(r".+:([0-9]{1,5})", coordinator)
    if port is None or not 0 < int(port[1]) < 2**16:
        hint = "HOST:PORT of process 0, such as node1:7777, or auto"
        raise SpecError(f"--coordinator: '{coordinator}' is no address", hint=hint)
    if processes is None or process is None:
        message = f"--coordinator {coordinator} needs --processes N and --process I"
        raise SpecError(message, hint="how many there are, and which one this is, from 0")
    if not 0 <= process < processes:
        message = f"--process {process} is none of {processes}"
        raise SpecError(message, hint=f"a number from 0 to {processes - 1}" if processes > 0 else "give --processes")
    return Place(coordinator, processes, process)


@contextmanager
def joined(place: Place | None, say: Callable[[str], None]) -> Iterator[None]:
    """Inside, this process is one of a job, if it has a place in one. JAX must not have started anything before.

    `say` shows a sentence where the process ends by itself. Raises HostError.
    """
    if place is None:
        yield
        return
    from cnnlab.train import hosts

    channel = _start(place)
    hosts.open_channel(channel)
    watch, interrupted = Watch(channel, say), None
    try:
        try:
            yield
        except Interrupted as error:  # of all processes, and process 0 has saved when it comes here
            interrupted = error
        channel.gathered("")
    except BaseException as error:
        watch.claim()
        _leave(channel, error)
        raise
    finally:
        watch.stop()
        hosts.open_channel(None)
    _finish()
    if interrupted is not None:
        raise interrupted


@contextmanager
def heard() -> Iterator[None]:
    """What fails inside because another process has ended is a HostError that says so."""
    try:
        yield
    except CnnlabError:
        raise
    except Exception as error:
        from cnnlab.train import hosts

        if (told := hosts.lost(str(error))) is None:
            raise
        raise HostError(told, hint="--resume continues the run") from error


class Watch:
    """A thread that ends the process where another one has ended: the main thread may wait for that one in vain.

    Process 0 gets the time to notice by itself and to write to the run what has become of it.
    """

    def __init__(self, channel: "Channel", say: Callable[[str], None]):
        self._channel, self._say = channel, say
        self._stopped, self._claimed = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._look, name="hosts", daemon=True)
        self._thread.start()

    def claim(self) -> None:
        """The main thread ends the process: with one sentence, not two."""
        self._claimed.acquire()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stopped.wait(LOOK):
            if (told := self._channel.ended()) is None:
                continue
            if self._channel.process == 0 and self._stopped.wait(PATIENCE):
                return
            if self._claimed.acquire(blocking=False):
                self._channel.hear()
                self._say(told)
                _exit(HostError.exit_code)
            return


def _start(place: Place) -> "Channel":
    import jax

    from cnnlab.train.hosts import Channel

    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    jax.config.update("jax_check_proxy_envs", False)  # a warning of eight lines
    settings: dict[str, Any] = {"initialization_timeout": int(WAIT) + 60}  # then JAX aborts: too late to be seen
    if place.coordinator is not None:
        host, _, port = place.coordinator.rpartition(":")
        address = place.coordinator if host in LOOPBACK else f"[::]:{port}"
        if place.process == 0:
            _check_free(host if host in LOOPBACK else "", int(port))
        settings |= {"cluster_detection_method": "deactivate", "coordinator_bind_address": address}
    _connect(place, settings)
    from jax._src import distributed  # what is said between processes has no public name

    state = distributed.global_state
    return Channel(state.client, state.process_id, state.num_processes)


def _connect(place: Place, settings: dict[str, Any]) -> None:
    """Wait for the other processes, in a thread, so that Ctrl-C is heard meanwhile."""
    import jax

    failed: list[Exception] = []

    def connect() -> None:
        try:
            jax.distributed.initialize(place.coordinator, place.processes, place.process, **settings)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    try:
        thread.join(WAIT)
        if thread.is_alive():
            message = f"the processes of the job are not all there after {WAIT:.0f} seconds"
            hint = "start every one with the same --coordinator, which all can reach without a proxy"
            raise HostError(message, where=place.coordinator or "", hint=hint)
        if failed and place.coordinator is None and isinstance(failed[0], ValueError):
            hint = "give --coordinator HOST:PORT --processes N --process I"
            raise SpecError("--coordinator auto: JAX finds no launcher of processes here", hint=hint) from failed[0]
        if failed:
            raise HostError(f"cannot start: {failed[0]}", where=place.coordinator or "") from failed[0]
    except BaseException as error:
        atexit.register(_exit, _code(error))
        raise


def _check_free(host: str, port: int) -> None:
    """JAX ends in a segmentation fault where process 0 cannot have its port."""
    try:
        socket.create_server((host.strip("[]"), port)).close()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        message = f"--coordinator: the port {port} cannot be used: {why}"
        raise SpecError(message, hint="choose another, the same for all processes") from None


def _leave(channel: "Channel", error: BaseException) -> None:
    """Tell the others; then the process ends without JAX's farewell, which waits for all of them."""
    atexit.register(_exit, _code(error))
    why = error.message if isinstance(error, HostError) else str(error).partition("\n")[0]
    with suppress(RuntimeError):  # process 0 is gone
        channel.end(why or type(error).__name__)
    if channel.process == 0:  # to which the others are connected: they end first
        until = time.monotonic() + FAREWELL
        while not channel.all_know() and time.monotonic() < until:
            time.sleep(LOOK)
        time.sleep(LOOK)


def _code(error: BaseException) -> int:
    """The exit code by the contract."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    return error.exit_code if isinstance(error, CnnlabError) else 1


def _finish() -> None:
    import jax

    jax.distributed.shutdown()


def _exit(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
