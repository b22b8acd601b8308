"""What processes tell each other, with a coordinator that is a dictionary."""

import threading
from collections.abc import Iterator

import jax
import numpy as np
import pytest

from cnnlab.errors import HostError
from cnnlab.train import hosts
from cnnlab.train.hosts import Channel


class Coordinator:
    """JAX's, of which the processes here are threads. It never waits for longer than a moment."""

    def __init__(self):
        self.words: dict[str, str] = {}
        self.changed = threading.Condition()

    def key_value_set(self, key: str, value: str) -> None:
        with self.changed:
            assert key not in self.words, "JAX refuses a second word in the same place"
            self.words[key] = value
            self.changed.notify_all()

    def key_value_delete(self, key: str) -> None:
        with self.changed:
            del self.words[key]

    def blocking_key_value_get(self, key: str, milliseconds: int) -> str:
        with self.changed:
            if not self.changed.wait_for(lambda: key in self.words, min(milliseconds, 50) / 1000):
                raise jax.errors.JaxRuntimeError(f"DEADLINE_EXCEEDED: {key}")
            return self.words[key]

    def key_value_dir_get(self, folder: str) -> list[tuple[str, str]]:
        with self.changed:
            return [(key, value) for key, value in self.words.items() if key.startswith(folder)]


@pytest.fixture
def job() -> Iterator[Channel]:
    """This process as number 0 of two, the other of which has not said anything yet."""
    channel = Channel(Coordinator(), 0, 2)
    hosts.open_channel(channel)
    yield channel
    hosts.open_channel(None)


def other(channel: Channel, *words: str) -> None:
    """Process 1 says these words, one after the other."""
    for number, word in enumerate(words):
        channel._client.key_value_set(f"{hosts.WORDS}{number}/1", word)


def test_each_hears_all_in_their_order_and_nothing_is_left_behind():
    client, heard = Coordinator(), {}

    def speak(process: int) -> None:
        channel = Channel(client, process, 3)
        heard[process] = [channel.gathered(f"{process}:{i}") for i in range(4)]

    threads = [threading.Thread(target=speak, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard[0] == heard[1] == heard[2] == [[f"{process}:{i}" for process in range(3)] for i in range(4)]
    assert sorted(client.words) == [f"{hosts.WORDS}3/{process}" for process in range(3)]


def test_alone_there_is_nobody_to_ask():
    assert (hosts.process(), hosts.processes()) == (0, 1)
    assert hosts.gathered("a") == ["a"]
    assert (hosts.first(3), hosts.largest(4)) == (3, 4)
    assert hosts.all_of(lambda: True)
    assert not hosts.all_of(lambda: False)
    tree = {"a": np.ones(3)}
    assert hosts.from_first(tree, None) is tree
    assert hosts.lost("Gloo all-reduce failed") is None


def test_numbers_are_those_of_process_0_or_the_largest(job):
    other(job, "7", "15", "-1", "0")
    assert hosts.first(3) == 3
    assert hosts.largest(2) == 15
    assert hosts.all_of(lambda: True)
    assert not hosts.all_of(lambda: True)


def test_who_waits_for_a_process_that_has_ended_hears_why(job):
    Channel(job._client, 1, 2).end("no such file")
    with pytest.raises(HostError, match=r"^process 1 has ended: no such file$"):
        hosts.gathered("")
    job.end("process 1 has ended: no such file")
    assert job.ended() == "process 1 has ended: no such file", "who ends because of another has nothing to say"
    assert hosts.lost("some failure") == "process 1 has ended: no such file"


def test_a_lost_connection_is_told_from_a_fault(job, monkeypatch):
    monkeypatch.setattr(hosts, "SOON", 0.01)
    assert hosts.lost("Gloo all-reduce failed: Connection closed by peer") == "another process has ended without a word"
    assert hosts.lost("unsupported operand") is None


def test_process_0_knows_when_all_others_do():
    client = Coordinator()
    first, second, third = (Channel(client, process, 3) for process in range(3))
    first.end("disk full")
    assert not first.all_know()
    second.hear()
    assert not first.all_know()
    third.hear()
    assert first.all_know()
