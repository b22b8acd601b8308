"""A spec's network for a task: several heads stand where a network's own head would."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from cnnlab.errors import SpecError
from cnnlab.layers.compose import Fork, Sequential
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.windows import show
from cnnlab.models import build
from cnnlab.models.custom import from_layers
from cnnlab.spec.init import ConstantInit
from cnnlab.spec.schema import LayersModel, Model
from cnnlab.tasks.heads import SeveralHeads
from cnnlab.tasks.task import Task
from cnnlab.trace.walk import trace
from cnnlab.weights.factorize import with_ranks
from cnnlab.weights.head import head_of, heads_of, without_head


def network_for(
    model: Model, input_shape: tuple[int, ...], task: Task | int | None, *, init: Initializer
) -> nnx.Module:
    """The network of a spec for inputs [*space, channel] and a task, or so many classes; None where nobody knows.

    Raises SpecError where shapes do not fit, as `build` does, where a head does not give what its task needs, and
    where `model.ranks` names what cannot be factorised.
    """
    network = _whole(model, input_shape, task, init)
    with_ranks(network, model.ranks, init)
    return network


def _whole(model: Model, input_shape: tuple[int, ...], task: Task | int | None, init: Initializer) -> nnx.Module:
    """The network before layers are factorised."""
    network = build(model, input_shape, task.classes if isinstance(task, Task) else task, init=init)
    if not isinstance(task, SeveralHeads):
        return network
    init = init.using(model.init.constant if isinstance(model.init, ConstantInit) else model.init)
    if isinstance(model, LayersModel):
        assert isinstance(network, Sequential)
        fork = _fork(task, trace(network, input_shape).output_shape, input_shape, init)
        setattr(network, "heads", fork)  # noqa: B010  (a Sequential has its layers as attributes)
        network.order = (*network.order, "heads")
        return network
    if len(heads_of(network, input_shape)) > 1:
        message = "its auxiliary classifiers learn one task, and there are several heads"
        raise SpecError(message, where="model", hint="set model.auxiliary: false")
    path = head_of(network, input_shape)
    trunk = without_head(network, input_shape)
    holder: Any = trunk
    *parts, last = path.split(".")
    for part in parts:
        holder = getattr(holder, part)
    setattr(holder, last, _fork(task, trace(trunk, input_shape).output_shape, input_shape, init))
    return trunk


def _fork(task: SeveralHeads, features: tuple[int, ...], input_shape: tuple[int, ...], init: Initializer) -> Fork:
    """The heads on a trunk that gives `features`, [*space, channel]."""
    parts, given = {}, jax.ShapeDtypeStruct((1, *features), jnp.float32)
    for head in task.heads:
        where = f"task.heads.{head.name}"
        if hasattr(Fork({}), head.name):
            raise SpecError(f"the name '{head.name}' is taken", where=where, hint="choose another")
        part = from_layers(head.layers, features, head.task.outputs, init=init, path=f"{where}.layers")
        try:
            head.task.check(jax.eval_shape(part, given).shape[1:], input_shape)
        except SpecError as error:
            if error.where != "model":  # a setting of the task
                raise SpecError(error.message, where=f"{where}.{error.where}", hint=error.hint) from None
            message = f"{error.message}; the trunk gives it {show(features)}"
            raise SpecError(message, where=f"{where}.layers", hint="change its layers, or the trunk's") from None
        parts[head.name] = part
    return Fork(parts)
