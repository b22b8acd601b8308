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
from cnnlab.losses.regression import mean_squared
from cnnlab.metrics import resampled
from cnnlab.metrics.bootstrap import together
from cnnlab.metrics.predictions import records_csv
from cnnlab.metrics.regression import regression_report
from cnnlab.spec.losses import Loss
from cnnlab.tasks.tables import answers_csv
from cnnlab.tasks.task import Found, Listing, Outcome, Sums, Task, mean_loss, with_intervals

OUTPUTS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda z: z,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "softplus": jax.nn.softplus,
    "exp": jnp.exp,
}
RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "softplus": (0.0, np.inf), "exp": (0.0, np.inf)}
ENDINGS = {  # what layers say that may end a network
    **{name: RANGES[name] for name in ("sigmoid", "tanh", "softplus")},
    "softmax": (0.0, 1.0),
    "hard_threshold": (0.0, 1.0),
    "relu": (0.0, np.inf),
    "scaled_tanh": (-1.7159, 1.7159),
    "sine": (-1.0, 1.0),
}


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

    def check_targets(self, values: np.ndarray, where: str, ending: str | None = None) -> None:
        """Raises DataError where a target lies outside of what `output` can say, or the layer that ends the network."""
        answers = f"{self.output} says"
        name, learnt = self.output, values
        if name == "identity" and ending in ENDINGS:
            answers, name = f"the {ending} at the network's end says", ending
            learnt = (values - np.asarray(self.mean)) / np.asarray(self.std)
        low, high = {**RANGES, **ENDINGS}.get(name, (-np.inf, np.inf))
        wrong = np.argwhere((learnt < low) | (learnt > high))
        if len(wrong):
            example, k = wrong[0].tolist()
            bounds = f"from {low:g} to {high:g}" if np.isfinite(high) else f"above {low:g}"
            value = f"{values[example, k]:g}"
            if (self.mean[k], self.std[k]) != (0, 1):
                value += f", learnt as {learnt[example, k]:.3g} deviations from the mean"
            message = f"{self.names[k]} of example {example} is {value}, and {answers} {bounds}"
            instead = (
                "end with 'dense: classes' and name task.output" if name == ending else "choose another task.output"
            )
            raise DataError(message, where=where, hint=f"scale the values, or {instead}")

    # ------------------------------------------------------------ on the device

    def objective(
        self, output: Float[Array, "batch names"], x: Array, y: Float[Array, "batch names"]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        mean, std = (jnp.asarray(values, y.dtype) for values in (self.mean, self.std))
        losses = of_values(self.loss)(OUTPUTS[self.output](output), (y - mean) / std)
        return losses, losses

    def lesson(self, output: Float[Array, "batch names"]) -> Float[Array, "batch names"]:
        """In the targets' own units: a teacher may have learnt in other deviations."""
        return self.answer(output)

    def distillation(
        self, output: Float[Array, "batch names"], taught: Array, y: Any, temperature: float
    ) -> Float[Array, " batch"]:
        """The mean squared error to the teacher's answers, in the student's deviations (Ba and Caruana 2014, section
        2.2); numbers have no temperature."""
        mean, std = (jnp.asarray(values, output.dtype) for values in (self.mean, self.std))
        return mean_squared(OUTPUTS[self.output](output), (taught - mean) / std)

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
        return {
            "per_target.csv": records_csv(report["per_target"]),
            "predictions.csv": answers_csv(found, listing, self.names, "predicted", found.values["predicted"]),
        }
