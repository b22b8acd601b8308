"""How a process finds its job, and leaves it."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cnnlab.errors import SpecError
from cnnlab.train import hosts, job
from cnnlab.train.hosts import Channel
from cnnlab.train.job import Place, Watch, heard, joined, place
from tests.train.test_hosts import Coordinator


def test_a_place_is_told_in_full_or_found_by_jax():
    assert place(None, None, None) is None
    assert place("auto", None, None) == Place(None)
    assert place("node1:7777", 4, 3) == Place("node1:7777", 4, 3)
    assert place("[::1]:7777", 1, 0) == Place("[::1]:7777", 1, 0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((None, 2, None), "--processes and --process belong to a job; add --coordinator HOST:PORT"),
        ((None, None, 0), "--processes and --process belong to a job; add --coordinator HOST:PORT"),
        (("auto", 2, None), "--coordinator auto finds .* itself; leave --processes and --process out"),
        (("node1", 2, 0), "--coordinator: 'node1' is no address; HOST:PORT of process 0, such as node1:7777, or auto"),
        (("node1:0", 2, 0), "--coordinator: 'node1:0' is no address"),
        (("node1:65536", 2, 0), "--coordinator: 'node1:65536' is no address"),
        (("node1:1", None, 0), "--coordinator node1:1 needs --processes N and --process I"),
        (("node1:1", 2, None), "--coordinator node1:1 needs --processes N and --process I"),
        (("node1:1", 2, 2), "--process 2 is none of 2; a number from 0 to 1"),
        (("node1:1", 2, -1), "--process -1 is none of 2"),
        (("node1:1", 0, 0), "--process 0 is none of 0; give --processes"),
    ],
)
def test_a_place_that_is_none_is_a_sentence(options, sentence):
    with pytest.raises(SpecError, match=sentence.replace("(", r"\(")) as told:
        place(*options)
    assert "\n" not in str(told.value)


def test_a_port_that_is_taken_is_a_sentence():
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = f"--coordinator: the port {port} cannot be used: Address already in use; choose another"
        with pytest.raises(SpecError, match=sentence), joined(Place(f"localhost:{port}", 2, 0), print):
            pass


def test_without_a_place_nothing_is_started():
    with joined(None, print):
        assert hosts.processes() == 1


@pytest.mark.parametrize("process", [0, 1])
def test_who_still_waits_when_another_has_ended_is_ended(process, monkeypatch):
    monkeypatch.setattr(job, "LOOK", 0.01)
    monkeypatch.setattr(job, "PATIENCE", 0.02)
    client, ended, said = Coordinator(), threading.Event(), []
    monkeypatch.setattr(job, "_exit", lambda code: (said.append(code), ended.set()))
    watch = Watch(Channel(client, process, 3), said.append)
    Channel(client, 2, 3).end("no such file")
    assert ended.wait(10)
    watch.stop()
    assert said == ["process 2 has ended: no such file", 1]


def test_who_ends_by_itself_says_one_sentence(monkeypatch):
    monkeypatch.setattr(job, "LOOK", 0.01)
    monkeypatch.setattr(job, "_exit", lambda code: pytest.fail("the main thread does that"))
    client, said = Coordinator(), []
    watch = Watch(Channel(client, 1, 2), said.append)
    watch.claim()
    Channel(client, 0, 2).end("disk full")
    watch._thread.join(10)
    watch.stop()
    assert said == []


def test_what_fails_without_a_job_is_left_as_it_is():
    with pytest.raises(ValueError, match=r"^Gloo$"), heard():
        raise ValueError("Gloo")


def test_a_job_whose_processes_do_not_come_is_given_up(tmp_path):
    code = "from cnnlab.train import job; job.WAIT = 0.5; from cnnlab.cli import command; command()"
    with socket.create_server(("localhost", 0)) as free:
        address = f"localhost:{free.getsockname()[1]}"
    command = [sys.executable, "-c", code, "train", "none.yaml", "--coordinator", address]
    command += ["--processes", "2", "--process", "0"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"{address}: the processes of the job are not all there after 0 seconds; "
        "start every one with the same --coordinator, which all can reach without a proxy\n"
    )
