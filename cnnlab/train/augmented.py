"""What a batch of training goes through before the network sees it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from jax import Array

from cnnlab.data.augment import Sample, augment, centre_crop, example_keys, mix, scale
from cnnlab.spec.schema import Experiment

if TYPE_CHECKING:
    from cnnlab.train.step import Sizes


class Augmented(NamedTuple):
    """x: [batch, *space, channel], normalised; y: [batch, ...], the task's target, moved along; partner, weight:
    [batch], of mixup and cutmix, None without."""

    x: Array
    y: Array
    partner: Array | None
    weight: Array | None

    def mixed(self, losses: Callable[[Array], tuple[Array, Array]]) -> tuple[Array, Array]:
        """The losses [batch] by a target: of each example's own and its partner's, by their weights."""
        own = losses(self.y)
        if self.partner is None or self.weight is None:
            return own
        weight, other = self.weight, losses(self.y[self.partner])
        return weight * own[0] + (1 - weight) * other[0], weight * own[1] + (1 - weight) * other[1]


def augmented(experiment: Experiment, sizes: "Sizes", epoch: Array, x: Array, y: Array, index: Array) -> Augmented:
    """A batch by the spec's `augment`, cut to the network's input and normalised; index: [batch], in the dataset."""
    entries, target = experiment.data.augment, sizes.task.target
    keys = example_keys(experiment.seed, epoch, index)
    sample = Sample(scale(x), y if target == "mask" else None, y if target == "boxes" else None)
    sample = centre_crop(augment(sample, keys, entries, sizes.std), sizes.input_shape[:-1])
    moved = {"mask": sample.mask, "boxes": sample.boxes}.get(target, y)
    assert moved is not None
    if not any(entry.mixup or entry.cutmix for entry in entries):
        return Augmented((sample.x - sizes.mean) / sizes.std, moved, None, None)
    mixture = mix(sample.x, keys, entries)
    return Augmented((mixture.x - sizes.mean) / sizes.std, moved, mixture.partner, mixture.weight)
