"""What a batch of training goes through before the network sees it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import jax
from jax import Array

from cnnlab.data.augment import Sample, augment, centre_crop, example_keys, mix, scale
from cnnlab.data.label_noise import noisy
from cnnlab.spec.schema import Experiment
from cnnlab.tasks.heads import SeveralHeads
from cnnlab.tasks.task import Losses, Task

if TYPE_CHECKING:
    from cnnlab.train.step import Sizes


Targets = Array | Mapping[str, Array]
"""The task's target, or those of several heads by their kinds, as in `Dataset.targets`."""


class Augmented(NamedTuple):
    """x: [batch, *space, channel], normalised; y: [batch, ...], the task's target, moved along; partner, weight:
    [batch], of mixup and cutmix, None without."""

    x: Array
    y: Targets
    partner: Array | None
    weight: Array | None

    def mixed(self, losses: Callable[[Targets], tuple[Losses, Losses]]) -> tuple[Losses, Losses]:
        """The losses [batch] by a target: of each example's own and its partner's, by their weights."""
        own = losses(self.y)
        if self.partner is None or self.weight is None:
            return own
        partner, weight = self.partner, self.weight
        other = losses(jax.tree.map(lambda values: values[partner], self.y))
        return jax.tree.map(lambda mine, theirs: weight * mine + (1 - weight) * theirs, own, other)


def augmented(experiment: Experiment, sizes: "Sizes", epoch: Array, x: Array, y: Targets, index: Array) -> Augmented:
    """A batch by the spec's `augment` and `label_noise`, cut to the network's input and normalised.

    index: [batch], the examples' places in the dataset.
    """
    entries, target = experiment.data.augment, sizes.task.target
    keys = example_keys(experiment.seed, epoch, index)
    targets = dict(y) if isinstance(y, Mapping) else {target: y}
    sample = Sample(scale(x), targets.get("mask"), targets.get("boxes"))
    sample = centre_crop(augment(sample, keys, entries, sizes.std), sizes.input_shape[:-1])
    targets |= {kind: along for kind in ("mask", "boxes") if (along := getattr(sample, kind)) is not None}
    if (noise := experiment.data.label_noise) is not None:
        count = _class_count(sizes.task)
        targets["class"] = noisy(noise, targets["class"], count, experiment.seed, epoch, index)
    moved = targets if isinstance(y, Mapping) else targets[target]
    if not any(entry.mixup or entry.cutmix for entry in entries):
        return Augmented((sample.x - sizes.mean) / sizes.std, moved, None, None)
    mixture = mix(sample.x, keys, entries)
    return Augmented((mixture.x - sizes.mean) / sizes.std, moved, mixture.partner, mixture.weight)


def _class_count(task: Task) -> int:
    """How many classes there are to an example."""
    parts = [head.task for head in task.heads] if isinstance(task, SeveralHeads) else [task]
    return next(len(part.names) for part in parts if part.one_of)
