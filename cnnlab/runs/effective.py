"""The effective receptive field of a spec's network, over random initialisations, and of a run's, over its training."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from flax import nnx

from cnnlab import kernels
from cnnlab.errors import SpecError
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.windows import show
from cnnlab.receptive_field.effective import Change, EffectiveField, effective_field
from cnnlab.runs.directory import Run, open_run
from cnnlab.runs.network import Network
from cnnlab.runs.pretrained import load_weights
from cnnlab.runs.weights import run_weights
from cnnlab.trace.walk import trace
from cnnlab.train.state import from_named, named_leaves, split
from cnnlab.weights.fork import network_for
from cnnlab.weights.match import Weights

INPUTS = 32
INITIALIZATIONS = 8
Unit = tuple[int, ...] | None


def effective_of(
    target: Path, network: Network, layer: str | None, unit: Unit, inputs: int
) -> tuple[EffectiveField | Change, tuple[str, ...]]:
    """The field of a spec's network, or its change in a run; and notes on checkpoints that are damaged."""
    if target.is_dir():
        return effective_of_run(network, open_run(target), layer=layer, unit=unit, inputs=inputs)
    return effective_of_spec(network, layer=layer, unit=unit, inputs=inputs), ()


def effective_of_spec(
    network: Network, *, layer: str | None = None, unit: Unit = None, inputs: int = INPUTS
) -> EffectiveField:
    """The field before training, over at least `inputs` inputs, shared out among 8 initialisations (or one for each,
    where there are fewer inputs). A spec that starts from weights has these alone.

    Raises CnnlabError as `effective_field` does.
    """
    count = 1 if network.experiment.model.weights else min(INITIALIZATIONS, inputs)
    models = (initial_model(network, index) for index in range(count))
    return _effective(network, models, layer, unit, -(-inputs // count))


def effective_of_run(
    network: Network, run: Run, *, layer: str | None = None, unit: Unit = None, inputs: int = INPUTS
) -> tuple[Change, tuple[str, ...]]:
    """The field before the run's first step and with its best checkpoint, on the same inputs; notes on damaged ones.

    `network` is the run's. Raises CnnlabError as `effective_field` does, and where its input is of another size than
    the weights are for.
    """
    weights, _, notes = run_weights(run, "best")
    models = (initial_model(network), _with(initial_model(network), weights, network.traced.input_shape))
    initial, trained = (_effective(network, [model], layer, unit, inputs) for model in models)
    return Change(initial, trained), notes


def initial_model(network: Network, index: int = 0) -> nnx.Module:
    """The network before its first step. The initialisation 0 is that of training, others have seeds of their own."""
    experiment, shape = network.experiment, network.traced.input_shape
    seed = experiment.seed
    if index:
        seed = int(np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)[0])
    model = network_for(experiment.model, shape, network.task, init=Initializer(seed))
    if experiment.model.weights is None:
        return model
    return _with(model, load_weights(experiment.model, model, shape), shape)


def _effective(
    network: Network, models: Iterable[nnx.Module], layer: str | None, unit: Unit, inputs: int
) -> EffectiveField:
    kernels.enable()
    traced = trace(network.model, network.traced.input_shape)  # anew: layers ask which kernels there are
    seed = network.experiment.seed
    return effective_field(traced, models, layer=layer, unit=unit, inputs=inputs, seed=seed)


def _with(model: nnx.Module, weights: Weights, shape: tuple[int, ...]) -> nnx.Module:
    """The model with these weights, by their names. Raises SpecError where they are for an input of another size."""
    graph, params, stats = split(model)
    leaves = named_leaves(params) | named_leaves(stats)
    for name in leaves.keys() & weights.keys():
        if leaves[name].shape != weights[name].shape:
            message = f"on {show(shape)} '{name}' would be {show(leaves[name].shape)}"
            message += f", and the weights have {show(weights[name].shape)}"
            raise SpecError(message, where="--input", hint="leave it out")
    leaves |= weights
    return nnx.merge(graph, from_named(leaves, params), from_named(leaves, stats))
