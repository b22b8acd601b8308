"""What a spec with `model.weights` starts from: the weights, and the preprocessing that belongs to them."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from flax import nnx

from cnnlab.data.prepare import Prepared, prepare
from cnnlab.errors import DataError
from cnnlab.runs.resolve import resolve
from cnnlab.runs.weights import architecture, describe, read, state_weights
from cnnlab.spec.schema import Experiment, ModelSpec
from cnnlab.spec.tasks import normal_of
from cnnlab.tasks import task_of
from cnnlab.train.state import State, from_named
from cnnlab.weights.files import Description
from cnnlab.weights.head import heads_of
from cnnlab.weights.match import Weights, matched


def prepare_experiment(experiment: Experiment) -> tuple[Experiment, Prepared]:
    """The spec with what data and weights fill in, and its data. Raises DataError and SpecError."""
    weights = experiment.model.weights
    description = None if weights is None else describe(Path(weights))
    experiment = _with_size(experiment, description)
    prepared = prepare(experiment.data, Path(), experiment.seed, normal_of(experiment.task))
    task = task_of(experiment, prepared)
    return resolve(experiment, prepared, task), _with_normalization(experiment, prepared, description)


def load_weights(model: ModelSpec, network: nnx.Module, input_shape: tuple[int, ...]) -> Weights:
    """What `model.weights` holds of the network: all of it, or with `new_head` all but the head.

    Raises DataError where the weights do not fit.
    """
    assert model.weights is not None
    found, description = read(Path(model.weights))
    if description is not None and description.model.get("ranks", {}) != model.ranks:
        hint = "take those of its resolved.yaml"
        raise DataError("the weights have other model.ranks than the spec", where=model.weights, hint=hint)
    heads = heads_of(network, input_shape)
    fitting = partial(matched, network, architecture(model), len(input_shape) - 1, found, description, model.weights)
    try:
        return fitting(without=heads if model.new_head else ())
    except DataError as error:
        try:
            fitting(without=heads)
        except DataError:
            raise error from None
        message = f"the head '{heads[0]}' of these weights is not that of this network's classes"
        raise DataError(message, where=model.weights, hint="model.new_head: true draws a new one") from None


def with_weights(state: State, weights: Weights) -> State:
    """The state before the first step with these weights in it."""
    leaves = {**state_weights(state), **weights}
    return state._replace(params=from_named(leaves, state.params), stats=from_named(leaves, state.stats))


def _with_size(experiment: Experiment, description: Description | None) -> Experiment:
    """With no `data.resize`: the size of image that the weights expect."""
    before = None if description is None else description.preprocessing
    if before is None or not before.size or experiment.data.resize is not None:  # vectors have no size
        return experiment
    size = before.size[0] if len(set(before.size)) == 1 else before.size
    return experiment.model_copy(update={"data": experiment.data.model_copy(update={"resize": size})})


def _with_normalization(experiment: Experiment, prepared: Prepared, description: Description | None) -> Prepared:
    """The mean and deviation that the weights expect, unless `data.normalize` is false."""
    before = None if description is None else description.preprocessing
    if before is None or not experiment.data.normalize or len(before.mean) != prepared.input_shape[-1]:
        return prepared
    return replace(prepared, mean=np.array(before.mean, np.float32), std=np.array(before.std, np.float32))
