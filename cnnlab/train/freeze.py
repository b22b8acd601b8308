"""Which parameters train: freezing by path or pattern, and learning rates of their own for parts of a network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
from flax import nnx

from cnnlab.errors import SpecError
from cnnlab.layers.norm import BatchNorm
from cnnlab.models.patterns import check_patterns, matches
from cnnlab.spec.schema import Experiment


@dataclass(frozen=True)
class Trainable:
    """Counts of parameters: all that train from the start, and of the others those of each pattern."""

    trained: int
    frozen: Mapping[str, int]
    unfreeze_at_epoch: int | None

    def to_json(self) -> dict[str, Any]:
        return {"trained": self.trained, "frozen": dict(self.frozen), "unfreeze_at_epoch": self.unfreeze_at_epoch}


def trainable(experiment: Experiment, model: nnx.Module) -> Trainable:
    """What of the network trains. Raises SpecError for a pattern that matches nothing, or where nothing trains."""
    spec = experiment.model
    sizes = {".".join(map(str, path)): v.size for path, v in nnx.to_flat_state(nnx.state(model, nnx.Param))}
    check_patterns(spec.freeze, sizes, "model.freeze")
    check_patterns(experiment.optimizer.layer_rates, sizes, "optimizer.layer_rates")
    frozen = dict.fromkeys(spec.freeze, 0)
    for path, size in sizes.items():
        first = next((pattern for pattern in spec.freeze if matches(path, pattern)), None)
        if first is not None:
            frozen[first] += size
    trained = sum(sizes.values()) - sum(frozen.values())
    if trained == 0 and frozen:
        raise SpecError("nothing is left to train", where="model.freeze", hint="leave the head out of it")
    return Trainable(trained, frozen, spec.unfreeze_at_epoch)


def hold_statistics(model: nnx.Module, patterns: tuple[str, ...]) -> None:
    """Batch normalisation in frozen parts goes by its running statistics from now on, and keeps them."""
    for path, module in nnx.iter_modules(model):
        if isinstance(module, BatchNorm) and _any(path, patterns):
            module.frozen = True


def frozen_mask(params: Any, patterns: tuple[str, ...]) -> Any:
    """True for every parameter that does not train."""
    return jax.tree_util.tree_map_with_path(lambda path, _: _any([part.key for part in path], patterns), params)


def _any(path: Any, patterns: tuple[str, ...]) -> bool:
    return any(matches(".".join(map(str, path)), pattern) for pattern in patterns)
