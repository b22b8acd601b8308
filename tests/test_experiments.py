"""Every spec in experiments/ loads, builds and traces, says what to expect, and keeps that promise."""

import json
import re
from pathlib import Path

import pytest

from cnnlab.runs.network import network
from cnnlab.runs.pretrained import prepare_experiment
from cnnlab.spec.load import load
from cnnlab.spec.schema import Experiment
from cnnlab.tasks import task_of

pytestmark = pytest.mark.usefixtures("undrawn")

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
COURSE = sorted(EXPERIMENTS.glob("[0-9]*/*.yaml"))  # whose figures `make course` checks
OWN = sorted(EXPERIMENTS.glob("own-data/*.yaml"))  # tests/test_own_data.py writes what they name
SPECS = sorted(set(EXPERIMENTS.rglob("*.yaml")) - set(COURSE) - set(OWN))
TRAINED = [path for path in SPECS if path.parent.name != "receptive_field"]  # the others have no data
EXPECTED = re.compile(r"# Expected: (\d+\.\d) % ± (\d+\.\d) test accuracy \(five seeds\), (\d+) s on two cores")


def name(path: Path) -> str:
    return str(path.relative_to(EXPERIMENTS))


@pytest.mark.parametrize("path", [*TRAINED, *COURSE], ids=name)
def test_it_builds_and_traces(path):
    experiment, prepared = prepare_experiment(load(path))
    found = network(experiment, prepared.input_shape, task_of(experiment, prepared), prepared=prepared)
    assert path in COURSE or found.traced.output_shape == (len(prepared.classes),)
    assert found.summary()["parameters"] > 0


@pytest.mark.parametrize("path", SPECS, ids=name)
def test_its_head_tells_the_expected_figures_and_where_the_schema_is(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    schema = lines[0].removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / schema).resolve() == EXPERIMENTS / "cnnlab.schema.json"
    expected = EXPECTED if path in TRAINED else re.compile("# Expected: size .+, stride .+")
    assert any(expected.fullmatch(line) for line in lines[:5]), "say what to expect in the head"


def test_the_schema_beside_the_experiments_is_the_one_of_today():
    stored = json.loads((EXPERIMENTS / "cnnlab.schema.json").read_text(encoding="utf-8"))
    stored.pop("$schema")
    assert stored == json.loads(json.dumps(Experiment.model_json_schema())), "run: cnnlab schema > experiments/..."


@pytest.mark.slow
@pytest.mark.parametrize("path", TRAINED, ids=name)
def test_it_reaches_what_its_head_promises(path, tmp_path, monkeypatch, cnnlab):
    """One seed, within four deviations and one example in a hundred of the stated mean."""
    match = EXPECTED.search(path.read_text(encoding="utf-8"))
    assert match is not None
    mean, deviation = float(match[1]), float(match[2])
    monkeypatch.chdir(tmp_path)
    ended = cnnlab("train", path, "--quiet", "--json")
    accuracy = 100 * json.loads(ended.out)["metrics"]["accuracy"]
    assert accuracy >= mean - 4 * deviation - 1
