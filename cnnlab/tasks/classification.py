"""One label out of several for every example."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from cnnlab.losses.chosen import of_classes
from cnnlab.metrics.predictions import Predictions
from cnnlab.models.heads import Heads
from cnnlab.spec.losses import Loss


class Sums(NamedTuple):
    """What an epoch of training adds up on the device; a mean is taken once, at its end."""

    loss: Float[Array, ""]
    correct: Int[Array, ""]
    examples: Int[Array, ""]

    @classmethod
    def zero(cls) -> "Sums":
        return cls(*(np.zeros((), dtype) for dtype in (np.float32, np.int32, np.int32)))  # type: ignore[arg-type]

    def means(self) -> dict[str, float]:
        """Loss and accuracy over the examples seen so far."""
        count = max(int(self.examples), 1)
        return {"loss": float(self.loss) / count, "accuracy": int(self.correct) / count}


class Outcome(NamedTuple):
    """What the evaluation keeps of every example; see `metrics.predictions.Predictions`."""

    predicted: Int[Array, " batch"]
    probability: Float[Array, " batch"]
    loss: Float[Array, " batch"]
    rank: Int[Array, " batch"]


def per_example_loss(
    loss: Loss, logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]
) -> Float[Array, " batch"]:
    """The loss that the spec names."""
    return of_classes(loss, (), np.zeros(0, np.int64))(logits, labels)


def objective(
    loss: Loss, output: Array | Heads, labels: Int[Array, " batch"]
) -> tuple[Float[Array, "batch classes"], Float[Array, " batch"], Float[Array, " batch"]]:
    """Logits, their losses, and what training lowers: with auxiliary classifiers the weighted sum of all losses."""
    heads = output if isinstance(output, Heads) else Heads(output, (), 0.0)
    losses = per_example_loss(loss, heads.logits, labels)
    extra = [heads.weight * per_example_loss(loss, logits, labels) for logits in heads.auxiliary]
    return heads.logits, losses, sum(extra, losses)


def add(
    sums: Sums,
    logits: Float[Array, "batch classes"],
    labels: Int[Array, " batch"],
    losses: Float[Array, " batch"],
    mask: Bool[Array, " batch"],
) -> Sums:
    """The sums with one more batch; what the mask leaves out does not count."""
    correct = (logits.argmax(-1) == labels) & mask
    return Sums(
        sums.loss + jnp.where(mask, losses, 0).sum(),
        sums.correct + correct.sum(dtype=jnp.int32),
        sums.examples + mask.sum(dtype=jnp.int32),
    )


def outcome(loss: Loss, logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Outcome:
    """Prediction, its probability, the loss, and how many classes are scored above the true one.

    Of equal scores the lower class counts as the higher, as argmax has it.
    """
    of_label = jnp.take_along_axis(logits, labels[:, None], axis=-1)
    before = jnp.arange(logits.shape[-1]) < labels[:, None]
    above = (logits > of_label) | ((logits == of_label) & before)
    return Outcome(
        logits.argmax(-1).astype(jnp.int32),
        jax.nn.softmax(logits).max(-1),
        per_example_loss(loss, logits, labels),
        above.sum(-1, dtype=jnp.int32),
    )


def predictions(labels: np.ndarray, outcomes: Outcome, mask: np.ndarray) -> Predictions:
    """One batch's outcome on the host, without its padding."""
    kept = [np.asarray(values)[mask] for values in outcomes]
    return Predictions(labels[mask], *kept)
