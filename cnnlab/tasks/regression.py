"""Numbers for every example."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from cnnlab.errors import DataError, SpecError
from cnnlab.layers.windows import show
from cnnlab.losses.chosen import of_values
from cnnlab.metrics import resampled
from cnnlab.metrics.bootstrap import together
from cnnlab.metrics.predictions import csv_text
from cnnlab.metrics.regression import regression_report
from cnnlab.spec.losses import Loss
from cnnlab.tasks.task import Found, Listing, Outcome, Sums, Task, mean_loss, with_intervals

OUTPUTS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda z: z,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "softplus": jax.nn.softplus,
    "exp": jnp.exp,
}
RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "softplus": (0.0, np.inf), "exp": (0.0, np.inf)}


@dataclass(frozen=True)
class Regression(Task):
    """`output` of what the network gives [batch, name], in deviations `std` from the `mean` of the training split.

    Where the targets are not standardised, mean is 0 and std 1. The loss is of standardised values; figures and
    answers are in the targets' own units.
    """

    names: tuple[str, ...]
    loss: Loss
    mean: tuple[float, ...]
    std: tuple[float, ...]
    output: str = "identity"

    name = "regression"
    target = "values"

    def check(self, output_shape: tuple[int, ...], input_shape: tuple[int, ...]) -> None:
        if output_shape != (self.outputs,):
            message = (
                f"gives {show(output_shape)}, and regression needs {self.outputs} numbers ({', '.join(self.names)})"
            )
            raise SpecError(message, where="model", hint="end with 'dense: classes', after flatten or global_avg_pool")

    def check_targets(self, values: np.ndarray, where: str) -> None:
        """Raises DataError where a target lies outside of what `output` can say."""
        low, high = RANGES.get(self.output, (-np.inf, np.inf))
        wrong = np.argwhere((values < low) | (values > high))
        if len(wrong):
            example, k = wrong[0].tolist()
            bounds = f"from {low:g} to {high:g}" if np.isfinite(high) else f"above {low:g}"
            message = f"{self.names[k]} of example {example} is {values[example, k]:g}, and {self.output} says {bounds}"
            raise DataError(message, where=where, hint="scale the values, or choose another task.output")

    # ------------------------------------------------------------ on the device

    def objective(
        self, output: Float[Array, "batch names"], x: Array, y: Float[Array, "batch names"]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        mean, std = (jnp.asarray(values, y.dtype) for values in (self.mean, self.std))
        losses = of_values(self.loss)(OUTPUTS[self.output](output), (y - mean) / std)
        return losses, losses

    def zero(self) -> dict[str, np.ndarray]:
        return {**super().zero(), "absolute": np.zeros((), np.float32)}

    def added(self, sums: Sums, output: Any, y: Array, losses: Array, mask: Bool[Array, " batch"]) -> Sums:
        error = jnp.abs(self.answer(output) - y).mean(-1)
        return {
            **super().added(sums, output, y, losses, mask),
            "absolute": sums["absolute"] + jnp.where(mask, error, 0).sum(),
        }

    def means(self, sums: Sums) -> dict[str, float]:
        return {**super().means(sums), "mae": float(sums["absolute"]) / max(int(sums["examples"]), 1)}

    def outcome(self, output: Array, x: Array, y: Array) -> Outcome:
        return Outcome({"predicted": self.answer(output), "loss": self.objective(output, x, y)[0]}, {})

    def answer(self, output: Array) -> Float[Array, "batch names"]:
        mean, std = (jnp.asarray(values, output.dtype) for values in (self.mean, self.std))
        return OUTPUTS[self.output](output) * std + mean

    # ------------------------------------------------------------ on the host

    def validation(self, found: Found) -> dict[str, float]:
        report = regression_report(found.target, found.values["predicted"], self.names)
        figures = {name: report[name] for name in ("mae", "rmse", "r2")}
        return {"loss": mean_loss(found), **{k: float("nan") if v is None else v for k, v in figures.items()}}

    def report(self, found: Found, split: str, seed: int | None) -> dict[str, Any]:
        predicted = found.values["predicted"]
        statistic = together(
            resampled.mean("loss", found.values["loss"]), resampled.regression(found.target, predicted)
        )
        return {
            "task": self.name,
            "split": split,
            "n": len(found),
            "loss": mean_loss(found),
            **regression_report(found.target, predicted, self.names),
            "targets": list(self.names),
            "intervals": with_intervals(statistic, len(found), seed),
        }

    def files(self, found: Found, report: dict[str, Any], listing: Listing) -> dict[str, str | bytes]:
        head = [f"{kind} {name}" for name in self.names for kind in ("true", "predicted")]
        files = listing.files or [""] * len(found)
        rows = [
            [int(i), file, float(loss), *(v for pair in zip(map(float, y), map(float, p), strict=True) for v in pair)]
            for i, file, loss, y, p in zip(
                listing.indices, files, found.values["loss"], found.target, found.values["predicted"], strict=True
            )
        ]
        table = [tuple(report["per_target"][0]), *(tuple(row.values()) for row in report["per_target"])]
        return {
            "per_target.csv": csv_text(table),
            "predictions.csv": csv_text([["index", "file", "loss", *head], *rows]),
        }
