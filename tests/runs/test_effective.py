"""The effective field of a spec and of a run: which weights it is of."""

import json
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from cnnlab.errors import SpecError
from cnnlab.layers.initialize import Initializer
from cnnlab.models import build
from cnnlab.receptive_field.effective import EffectiveField, effective_field
from cnnlab.runs.directory import open_run
from cnnlab.runs.effective import effective_of_run, effective_of_spec, initial_model
from cnnlab.runs.network import Network, find_network
from cnnlab.runs.weights import run_weights
from cnnlab.trace.walk import trace
from cnnlab.train.state import from_named, named_leaves, split
from cnnlab.train.step import Sizes, compile_program

pytestmark = pytest.mark.usefixtures("undrawn")


def leaves(model: nnx.Module) -> dict[str, np.ndarray]:
    _, params, stats = split(model)
    return {name: np.asarray(leaf) for name, leaf in (named_leaves(params) | named_leaves(stats)).items()}


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def of_weights(network: Network, weights: dict[str, np.ndarray], inputs: int) -> EffectiveField:
    """The field of given weights, put into the network by hand."""
    shape = network.traced.input_shape
    model = build(network.experiment.model, shape, network.experiment.model.classes, init=Initializer(0))
    graph, params, stats = split(model)
    model = nnx.merge(graph, from_named(weights, params), from_named(weights, stats))
    return effective_field(trace(model, shape), [model], inputs=inputs, seed=network.experiment.seed)


def test_a_spec_s_field_is_averaged_over_initialisations(small):
    network = find_network(small, [], None)
    found, again = (effective_of_spec(network, inputs=12) for _ in range(2))
    np.testing.assert_array_equal(found.map, again.map)
    assert (found.models, found.inputs, found.path) == (8, 2, "max_pool_3")
    assert effective_of_spec(network, inputs=3).models == 3
    other = effective_of_spec(find_network(small, ["seed=1"], None), inputs=12)
    assert np.abs(found.map - other.map).max() > 1e-3
    one = effective_of_spec(network, inputs=1, layer="conv_0", unit=(0, 0))
    assert (one.path, one.unit, one.models) == ("conv_0", (0, 0), 1)


def test_the_first_initialisation_is_that_of_training_and_others_differ(small):
    network = find_network(small, ["seed=7"], None)
    assert network.prepared is not None
    state = compile_program(network.experiment, Sizes.of(network.experiment, network.prepared)).host_state
    first = leaves(initial_model(network))
    assert_same(first, {**named_leaves(state.params), **named_leaves(state.stats)})
    kernels = [leaves(initial_model(network, index))["conv_0.kernel"] for index in range(3)]
    assert len({kernel.tobytes() for kernel in kernels}) == 3


@pytest.fixture
def run(small, cnnlab) -> Path:
    rate = "optimizer.learning_rate.peak=0.3"
    assert cnnlab("train", small, "train.epochs=2", rate, "--run", "run", "--quiet").code == 0
    return Path("run")


def test_a_run_s_field_before_and_after(run):
    network = find_network(run, [], None)
    change, notes = effective_of_run(network, open_run(run), inputs=4)
    assert notes == ()
    np.testing.assert_array_equal(change.initial.map, of_weights(network, leaves(initial_model(network)), 4).map)
    best, _, _ = run_weights(open_run(run), "best")
    np.testing.assert_array_equal(change.trained.map, of_weights(network, best, 4).map)
    assert np.abs(change.initial.map - change.trained.map).max() > 1e-3
    assert json.loads(json.dumps(change.to_json())) == change.to_json()


def test_weights_are_for_one_size_of_input(run):
    network = find_network(run, [], (10, 10, 1))
    with pytest.raises(SpecError) as raised:
        effective_of_run(network, open_run(run), inputs=1)
    message = "--input: on 10x10x1 'dense_6.kernel' would be 100x3, and the weights have 36x3; leave it out"
    assert str(raised.value) == message


def test_a_spec_that_starts_from_weights_has_theirs(run, small, cnnlab):
    overrides = [f"model.weights={run}", "seed=3"]
    network = find_network(small, overrides, None)
    found = effective_of_spec(network, inputs=4)
    assert (found.models, found.inputs) == (1, 4)
    best, _, _ = run_weights(open_run(run), "best")
    np.testing.assert_array_equal(found.map, of_weights(network, best, 4).map)
    assert cnnlab("train", small, *overrides, "train.epochs=1", "--run", "second", "--quiet").code == 0
    second = find_network(Path("second"), [], None)
    change, _ = effective_of_run(second, open_run(Path("second")), inputs=4)
    np.testing.assert_array_equal(change.initial.map, found.map)
