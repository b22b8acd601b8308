"""What processes must have in common to train one run."""

import json
import signal

import pytest

from cnnlab.errors import RunError, SpecError
from cnnlab.runs.pretrained import prepare_experiment
from cnnlab.runs.signals import StopSignals
from cnnlab.runs.together import begun_together, check_together
from cnnlab.spec.load import load
from cnnlab.train import hosts
from cnnlab.train.hosts import Channel
from tests.train.test_hosts import Coordinator, other
from tests.train.test_hosts import job as job

LEARNT_FROM = {"weights": None, "teacher": None}


def asked(small, *overrides: str):
    return prepare_experiment(load(small, list(overrides)))


def said_by_the_first(small, *overrides: str) -> dict[str, object]:
    """What process 0 of two says of itself."""
    client = Coordinator()
    channel = Channel(client, 0, 2)
    other(channel, "{}")
    hosts.open_channel(channel)
    try:
        with pytest.raises(RunError):
            check_together(*asked(small, *overrides), LEARNT_FROM)
    finally:
        hosts.open_channel(None)
    return json.loads(client.words[f"{hosts.WORDS}0/0"])


def test_the_same_spec_and_data_in_another_folder_are_the_same(small, job):
    mine = said_by_the_first(small)
    assert not any(str(value).startswith(str(small.parent)) for value in mine.values()), "paths do not count"
    assert {"train.epochs", "the fingerprint of data", "the version of jax"} <= mine.keys()
    hosts.open_channel(job)
    other(job, json.dumps(mine))
    check_together(*asked(small), LEARNT_FROM)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("seed", 1, "process 1 has seed = 1, and process 0 0; give all processes the same spec, data and cnnlab"),
        ("the fingerprint of data", "abc", "process 1 has the fingerprint of data = 'abc', and process 0 '"),
        ("the version of jax", "0.1", "process 1 has the version of jax = '0.1', and process 0 '"),
        ("data.cache", 1, "process 1 has data.cache = 1, and process 0 None"),
    ],
)
def test_what_differs_is_named(small, job, key, value, sentence):
    mine = said_by_the_first(small)
    hosts.open_channel(job)
    other(job, json.dumps({**mine, key: value}))
    with pytest.raises(RunError, match=f"^{sentence}"):
        check_together(*asked(small), LEARNT_FROM)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["data.batch_size=15"], "^data.batch_size: 2 processes do not divide a batch of 15; a multiple of 2, or"),
        (["train.energy={country: DEU}"], "^train.energy: counts one machine's energy, and 2 processes train; leave"),
    ],
)
def test_what_is_for_one_process_is_refused(small, job, overrides, sentence):
    with pytest.raises(SpecError, match=sentence):
        check_together(*asked(small, *overrides), LEARNT_FROM)


def test_the_perceptron_is_trained_in_one(tmp_path, job):
    spec = tmp_path / "rosenblatt.yaml"
    spec.write_text(
        "data: {source: gaussians, examples: 20, split: {train: 0.8, test: 0.2}, batch_size: 2}\n"
        "task: perceptron\nmodel: {layers: [flatten, dense: classes]}\n"
    )
    with pytest.raises(
        SpecError, match=r"^task: the perceptron's rule goes from example to example, .* train it in one"
    ):
        check_together(*asked(spec), LEARNT_FROM)


def test_one_process_is_not_asked(small):
    check_together(*asked(small, "data.batch_size=15"), LEARNT_FROM)
    state = object()
    assert begun_together(None, state, 0, []) is state  # type: ignore[arg-type]


def test_another_number_of_processes_is_told_when_a_run_goes_on(small, uninterrupted, cnnlab):
    environment = uninterrupted / "environment.json"
    begun = json.loads(environment.read_text())
    environment.write_text(json.dumps({**begun, "processes": 2}))
    done = cnnlab("train", small, "--run", uninterrupted, "--resume")
    assert (begun["processes"], done.code) == (1, 0)
    assert "begun by 2 processes, and 1 go on: as exact, but not the same bits" in done.err


def test_a_signal_to_another_process_stops_this_one(job):
    other(job, "0", str(int(signal.SIGTERM)), str(int(signal.SIGTERM)))
    with StopSignals() as signals:
        assert not signals.asked_to_stop()
        assert signals.number is None
        assert signals.asked_to_stop()
        assert signals.number == signal.SIGTERM
        signal.raise_signal(signal.SIGTERM)  # the launcher's, a moment later: it ends nothing
        assert signals.asked_to_stop()
