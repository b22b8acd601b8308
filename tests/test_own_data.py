"""The specs of experiments/own-data, on data that is written as people have it, build, and keep what they promise."""

import shutil
from pathlib import Path

import pytest

from cnnlab.runs.network import network
from cnnlab.runs.pretrained import prepare_experiment
from cnnlab.spec.load import load
from cnnlab.tasks import task_of
from experiments.course.checks import check
from experiments.course.runs import train
from experiments.course.topics import EXPERIMENTS, Topic, read_spec
from tests.own_data import write

SPECS = sorted((EXPERIMENTS / "own-data").glob("*.yaml"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the specs, and the data that their paths name."""
    folder = tmp_path_factory.mktemp("experiments") / "own-data"
    folder.mkdir()
    for path in SPECS:
        shutil.copy(path, folder)
    write(folder)
    return folder


@pytest.mark.parametrize("name", [path.name for path in SPECS])
def test_it_builds_and_traces(folder, name):
    experiment, prepared = prepare_experiment(load(folder / name))
    task = task_of(experiment, prepared)
    found = network(experiment, prepared.input_shape, task, prepared=prepared)
    assert found.traced.output_shape == (10,)
    assert sum(map(len, prepared.splits.values())) == len(prepared.dataset.x) > 800


@pytest.mark.slow
@pytest.mark.parametrize("name", [path.name for path in SPECS])
def test_it_reaches_what_its_head_promises(folder, name):
    spec = read_spec(folder / name)
    ended = {name: train(spec, folder.parent / "runs")}
    assert ended[name].code == 0, ended[name].error
    rows = check(Topic(folder, (spec,)), ended)
    assert rows
    assert [f"{row.expected}: {row.found}" for row in rows if not row.ok] == []
