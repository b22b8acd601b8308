"""Any number of labels for every example, each there or not."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, UInt8

from cnnlab.errors import SpecError
from cnnlab.layers.windows import show
from cnnlab.losses.chosen import of_labels
from cnnlab.losses.divergence import kullback_leibler
from cnnlab.metrics import resampled
from cnnlab.metrics.bootstrap import together
from cnnlab.metrics.multi_label import multi_label_report
from cnnlab.metrics.predictions import records_csv
from cnnlab.metrics.ranking import ranking_report
from cnnlab.spec.losses import Loss
from cnnlab.tasks.tables import answers_csv
from cnnlab.tasks.task import Found, Listing, Outcome, Sums, Task, mean_loss, with_intervals


@dataclass(frozen=True)
class MultiLabel(Task):
    """A logit a label [batch, label]; a label is said to hold where its probability is at least `threshold`."""

    names: tuple[str, ...]
    loss: Loss
    counts: tuple[int, ...] = ()  # training examples that have each label
    examples: int = 0  # of training
    threshold: float = 0.5

    name = "multi_label"
    target = "labels"

    def check(self, output_shape: tuple[int, ...], input_shape: tuple[int, ...]) -> None:
        if output_shape != (self.outputs,):
            message = f"gives {show(output_shape)}, and multi_label needs one logit for each of {self.outputs} labels"
            raise SpecError(message, where="model", hint="end with 'dense: classes', after flatten or global_avg_pool")

    # ------------------------------------------------------------ on the device

    def objective(
        self, output: Float[Array, "batch labels"], x: Array, y: UInt8[Array, "batch labels"]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        losses = of_labels(self.loss, self.names, np.array(self.counts, np.int64), self.examples)(output, y)
        return losses, losses

    def distillation(
        self, output: Float[Array, "batch labels"], taught: Array, y: Any, temperature: float
    ) -> Float[Array, " batch"]:
        """The mean over labels, each of which is there or not: a distribution of two."""
        student, teacher = (jnp.stack([jnp.zeros_like(logits), logits], -1) for logits in (output, taught))
        return kullback_leibler(student, teacher, temperature=temperature)

    def zero(self) -> dict[str, np.ndarray]:
        return {**super().zero(), "correct": np.zeros((), np.float32)}

    def added(self, sums: Sums, output: Any, y: Array, losses: Array, mask: Bool[Array, " batch"]) -> Sums:
        correct = (self._predicted(output) == (y > 0)).mean(-1)
        return {
            **super().added(sums, output, y, losses, mask),
            "correct": sums["correct"] + jnp.where(mask, correct, 0).sum(),
        }

    def means(self, sums: Sums) -> dict[str, float]:
        """The accuracy is the share of labels that are right."""
        return {**super().means(sums), "accuracy": float(sums["correct"]) / max(int(sums["examples"]), 1)}

    def outcome(self, output: Array, x: Array, y: Array) -> Outcome:
        losses, _ = self.objective(output, x, y)
        values = {"predicted": self._predicted(output), "probabilities": jax.nn.sigmoid(output), "loss": losses}
        return Outcome(values, {})

    def answer(self, output: Array) -> Float[Array, "batch labels"]:
        return jax.nn.sigmoid(output)

    def _predicted(self, output: Float[Array, "batch labels"]) -> Bool[Array, "batch labels"]:
        return jax.nn.sigmoid(output) >= self.threshold

    # ------------------------------------------------------------ on the host

    def validation(self, found: Found) -> dict[str, float]:
        report = multi_label_report(found.target > 0, found.values["predicted"], self.names)
        accuracy = 1 - report["hamming_loss"]
        return {"loss": mean_loss(found), "accuracy": accuracy, "f1": report["macro"]["f1"]}

    def report(self, found: Found, split: str, seed: int | None) -> dict[str, Any]:
        truth, predicted = found.target > 0, found.values["predicted"]
        probabilities = found.values["probabilities"].astype(np.float64)
        report = multi_label_report(truth, predicted, self.names)
        ranked = ranking_report(truth, probabilities, self.names)
        statistic = together(
            resampled.mean("loss", found.values["loss"]),
            resampled.multi_label(truth, predicted),
            resampled.ranking(truth, probabilities),
        )
        return {
            "task": self.name,
            "split": split,
            "n": len(found),
            "loss": mean_loss(found),
            "accuracy": 1 - report["hamming_loss"],
            **report,
            **{name: value for name, value in ranked.items() if name != "undefined"},
            "labels": list(self.names),
            "undefined_figures": ranked["undefined"],
            "intervals": with_intervals(statistic, len(found), seed),
        }

    def files(self, found: Found, report: dict[str, Any], listing: Listing) -> dict[str, str | bytes]:
        return {
            "per_label.csv": records_csv(report["per_label"]),
            "predictions.csv": answers_csv(found, listing, self.names, "probability", found.values["probabilities"]),
        }
