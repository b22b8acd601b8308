"""One class out of several for every example."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from cnnlab.errors import SpecError
from cnnlab.layers.windows import show
from cnnlab.losses.chosen import of_classes
from cnnlab.losses.divergence import kullback_leibler
from cnnlab.metrics import resampled
from cnnlab.metrics.agreement import agreement_report
from cnnlab.metrics.bootstrap import together
from cnnlab.metrics.calibration import log_losses, reliability
from cnnlab.metrics.confusion import classification_report, confusion_csv
from cnnlab.metrics.predictions import Predictions, records_csv, to_csv
from cnnlab.metrics.ranking import one_against_rest, ranking_report
from cnnlab.models.heads import Heads
from cnnlab.spec.losses import Loss
from cnnlab.tasks.task import Found, Listing, Outcome, Sums, Task, with_intervals

HINT = "end with 'dense: classes', choose a network that classifies, or name another task"


@dataclass(frozen=True)
class Classification(Task):
    """Logits [batch, class], or one score z for two classes, which stands for the logits (0, z).

    Of two classes the second is predicted where its probability is at least `threshold`.
    """

    names: tuple[str, ...]
    loss: Loss
    counts: tuple[int, ...] = ()  # training examples of each class, which balanced weights go by
    threshold: float = 0.5

    name = "classification"
    target = "class"
    one_of = True

    @property
    def curve(self) -> str:
        return "accuracy"

    @property
    def guessing(self) -> float:
        return math.log(max(self.outputs, 2))

    def check(self, output_shape: tuple[int, ...], input_shape: tuple[int, ...]) -> None:
        if output_shape == (self.outputs,) or (output_shape, self.outputs) == ((1,), 2):
            return
        message = f"gives {show(output_shape)}, and classification needs one logit for each of {self.outputs} classes"
        raise SpecError(message, where="model", hint=HINT)

    # ------------------------------------------------------------ on the device

    def objective(
        self, output: Array | Heads, x: Array, y: Int[Array, " batch"]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """With auxiliary classifiers training lowers the weighted sum of all losses."""
        heads = output if isinstance(output, Heads) else Heads(output, (), 0.0)
        losses = self.losses(heads.logits, y)
        return losses, sum([heads.weight * self.losses(logits, y) for logits in heads.auxiliary], losses)

    def distillation(self, output: Array | Heads, taught: Array, y: Any, temperature: float) -> Float[Array, " batch"]:
        """With auxiliary classifiers each of them has the same teacher, by its weight."""
        heads = output if isinstance(output, Heads) else Heads(output, (), 0.0)

        def far(logits: Array) -> Array:
            return kullback_leibler(_logits(logits), _logits(taught), temperature=temperature)

        return sum([heads.weight * far(logits) for logits in heads.auxiliary], far(heads.logits))

    def losses(self, output: Array, y: Int[Array, " batch"]) -> Float[Array, " batch"]:
        """The loss that the spec names."""
        return of_classes(self.loss, self.names, np.array(self.counts, np.int64))(_logits(output), y)

    def zero(self) -> dict[str, np.ndarray]:
        return {**super().zero(), "correct": np.zeros((), np.int32)}

    def added(
        self, sums: Sums, output: Array | Heads, y: Int[Array, " batch"], losses: Array, mask: Bool[Array, " batch"]
    ) -> Sums:
        logits = _logits(output.logits if isinstance(output, Heads) else output)
        correct = (self._predicted(logits) == y) & mask
        return {
            **super().added(sums, output, y, losses, mask),
            "correct": sums["correct"] + correct.sum(dtype=jnp.int32),
        }

    def means(self, sums: Sums) -> dict[str, float]:
        return {**super().means(sums), "accuracy": int(sums["correct"]) / max(int(sums["examples"]), 1)}

    def outcome(self, output: Array, x: Array, y: Int[Array, " batch"]) -> Outcome:
        """Prediction, all probabilities, the loss, and how many classes are scored above the true one.

        Of equal scores the lower class counts as the higher, as argmax has it. With a threshold of its own the
        predicted one of two classes counts as the higher.
        """
        logits = _logits(output)
        predicted = self._predicted(logits)
        if logits.shape[-1] == 2:
            rank = (predicted != y).astype(jnp.int32)
        else:
            of_label = jnp.take_along_axis(logits, y[:, None], axis=-1)
            before = jnp.arange(logits.shape[-1]) < y[:, None]
            rank = ((logits > of_label) | ((logits == of_label) & before)).sum(-1, dtype=jnp.int32)
        values = {
            "predicted": predicted,
            "probabilities": jax.nn.softmax(logits),
            "loss": self.losses(output, y),
            "rank": rank,
        }
        return Outcome(values, {})

    def answer(self, output: Array) -> Float[Array, "batch classes"]:
        return jax.nn.softmax(_logits(output))

    def _predicted(self, logits: Float[Array, "batch classes"]) -> Int[Array, " batch"]:
        if self.threshold == 0.5 or logits.shape[-1] != 2:
            return logits.argmax(-1).astype(jnp.int32)
        return (jax.nn.softmax(logits)[:, 1] >= self.threshold).astype(jnp.int32)

    # ------------------------------------------------------------ on the host

    def validation(self, found: Found) -> dict[str, float]:
        report = classification_report(predictions(found), self.names, "validation")
        return {"loss": report["loss"], "accuracy": report["accuracy"], "f1": report["macro"]["f1"]}

    def report(self, found: Found, split: str, seed: int | None) -> dict[str, Any]:
        said, probabilities = predictions(found), found.values["probabilities"].astype(np.float64)
        report = classification_report(said, self.names, split)
        matrix, yes = np.array(report["confusion_matrix"]), one_against_rest(said.labels, self.outputs)
        right = said.predicted == said.labels
        statistic = together(
            resampled.mean("loss", said.loss),
            resampled.classification(said.labels, said.predicted, self.outputs),
            resampled.ranking(yes, probabilities),
            resampled.calibration(said.probability, right),
        )
        agreement, ranked = agreement_report(matrix, self.names), ranking_report(yes, probabilities, self.names)
        beyond_accuracy = {
            **{name: value for name, value in agreement.items() if name != "undefined"},
            **{name: value for name, value in ranked.items() if name != "undefined"},
            "log_loss": float(log_losses(found.values["probabilities"], said.labels).mean()),
            "expected_calibration_error": reliability(said.probability, right).error,
            "undefined_figures": agreement["undefined"] + ranked["undefined"],
        }
        intervals = with_intervals(statistic, len(found), seed)
        return {"task": self.name, **report, **beyond_accuracy, "intervals": intervals}

    def files(self, found: Found, report: dict[str, Any], listing: Listing) -> dict[str, str | bytes]:
        return {
            "per_class.csv": records_csv(report["per_class"]),
            "confusion_matrix.csv": confusion_csv(report),
            "predictions.csv": to_csv(predictions(found), self.names, files=listing.files, indices=listing.indices),
        }


def _logits(output: Float[Array, "batch outputs"]) -> Float[Array, "batch classes"]:
    return jnp.pad(output, ((0, 0), (1, 0))) if output.shape[-1] == 1 else output


def predictions(found: Found) -> Predictions:
    """What the tables and figures are made of."""
    values, predicted = found.values, found.values["predicted"]
    probability = np.take_along_axis(values["probabilities"], predicted[:, None], 1)[:, 0]
    return Predictions(found.target, predicted, probability, values["loss"], values["rank"])
