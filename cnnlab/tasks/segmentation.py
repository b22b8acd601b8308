"""A class for every position of an image, a signal or a volume."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Shaped, UInt8

from cnnlab.errors import SpecError
from cnnlab.layers.windows import show
from cnnlab.losses.chosen import of_masks
from cnnlab.losses.divergence import kullback_leibler
from cnnlab.metrics import resampled
from cnnlab.metrics.bootstrap import together
from cnnlab.metrics.confusion import confusion_csv
from cnnlab.metrics.predictions import records_csv
from cnnlab.metrics.segmentation import segmentation_report
from cnnlab.spec.data import UNKNOWN
from cnnlab.spec.losses import Loss
from cnnlab.tasks.tables import examples_csv
from cnnlab.tasks.task import Found, Listing, Outcome, Sums, Task, mean_loss, with_intervals


@dataclass(frozen=True)
class Segmentation(Task):
    """Logits [batch, *space, class]. A network without padding gives a smaller map: of the mask its centre counts.

    Positions with the mask 255 count nowhere.
    """

    names: tuple[str, ...]
    loss: Loss
    counts: tuple[int, ...] = ()  # training positions of each class

    name = "segmentation"
    target = "mask"

    @property
    def guessing(self) -> float:
        return math.log(max(self.outputs, 2))

    def check(self, output_shape: tuple[int, ...], input_shape: tuple[int, ...]) -> None:
        *space, features = output_shape
        fits = len(output_shape) == len(input_shape) and features == self.outputs
        if not fits or any(n > m for n, m in zip(space, input_shape[:-1], strict=True)):
            classes = f"{self.outputs} logits at every position of {show(input_shape[:-1])}"
            message = f"gives {show(output_shape)}, and segmentation needs {classes}"
            raise SpecError(message, where="model", hint="choose unet, or end with a 1x1 conv of as many features")

    # ------------------------------------------------------------ on the device

    def objective(
        self, output: Float[Array, " batch *space classes"], x: Array, y: UInt8[Array, " batch *whole"]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        counts = np.array(self.counts, np.int64)
        losses = of_masks(self.loss, self.names, counts)(output, centre(y, output.shape[1:-1]))
        return losses, losses

    def distillation(
        self, output: Float[Array, " batch *space classes"], taught: Array, y: Any, temperature: float
    ) -> Float[Array, " batch"]:
        """The mean over the positions of which the mask says something; of the teacher's map too the centre counts."""
        space = output.shape[1:-1]
        counted = centre(y, space) != UNKNOWN
        return kullback_leibler(output, centre(taught, space), temperature=temperature, counted=counted)

    def zero(self) -> dict[str, np.ndarray]:
        return {**super().zero(), "correct": np.zeros((), np.float32), "positions": np.zeros((), np.float32)}

    def added(self, sums: Sums, output: Any, y: Array, losses: Array, mask: Bool[Array, " batch"]) -> Sums:
        truth = centre(y, output.shape[1:-1])
        counted = (truth != UNKNOWN) & mask.reshape(-1, *[1] * (truth.ndim - 1))
        correct = (output.argmax(-1) == truth) & counted
        return {
            **super().added(sums, output, y, losses, mask),
            "correct": sums["correct"] + correct.sum(dtype=jnp.float32),
            "positions": sums["positions"] + counted.sum(dtype=jnp.float32),
        }

    def means(self, sums: Sums) -> dict[str, float]:
        return {**super().means(sums), "accuracy": float(sums["correct"]) / max(float(sums["positions"]), 1)}

    def outcome(self, output: Array, x: Array, y: Array) -> Outcome:
        """Each example's confusion matrix over its positions, int32 [batch, true class, predicted class]."""
        truth, predicted = centre(y, output.shape[1:-1]), output.argmax(-1)
        cells = jnp.where(truth == UNKNOWN, -1, truth.astype(jnp.int32) * self.outputs + predicted)
        flat = cells.reshape(len(cells), -1)
        matrices = jax.vmap(lambda row: jnp.zeros(self.outputs**2, jnp.int32).at[row].add(row >= 0))(flat)
        values = {"matrix": matrices.reshape(-1, self.outputs, self.outputs), "loss": self.objective(output, x, y)[0]}
        return Outcome(values, {"x": x, "mask": truth, "predicted": predicted.astype(jnp.uint8)})

    def answer(self, output: Array) -> Float[Array, " batch *space classes"]:
        return jax.nn.softmax(output)

    # ------------------------------------------------------------ on the host

    def validation(self, found: Found) -> dict[str, float]:
        report = segmentation_report(found.values["matrix"].sum(0, dtype=np.int64), self.names)
        figures = {"accuracy": "pixel_accuracy", "mean_iou": "mean_iou", "dice": "mean_dice"}
        return {"loss": mean_loss(found), **{name: report[key] for name, key in figures.items()}}

    def report(self, found: Found, split: str, seed: int | None) -> dict[str, Any]:
        matrices = found.values["matrix"].astype(np.int64)
        statistic = together(resampled.mean("loss", found.values["loss"]), resampled.masks(matrices))
        return {
            "task": self.name,
            "split": split,
            "n": len(found),
            "loss": mean_loss(found),
            **segmentation_report(matrices.sum(0), self.names),
            "intervals": with_intervals(statistic, len(found), seed),
        }

    def files(self, found: Found, report: dict[str, Any], listing: Listing) -> dict[str, str | bytes]:
        matrices = found.values["matrix"].astype(np.int64)
        reports = [segmentation_report(m, self.names) if m.sum() else dict.fromkeys(FIGURES) for m in matrices]
        figures = {name: [one[name] for one in reports] for name in FIGURES}
        return {
            "per_class.csv": records_csv(report["per_class"]),
            "confusion_matrix.csv": confusion_csv(report),
            "predictions.csv": examples_csv(listing, {"loss": found.values["loss"].tolist(), **figures}),
        }


FIGURES = ("pixel_accuracy", "mean_iou", "mean_dice")


def centre(mask: Shaped[Array, "batch ..."], space: tuple[int, ...]) -> Shaped[Array, "batch ..."]:
    """The middle of every mask or map [batch, *whole, ...], of the size `space`; of an odd rest less is cut before."""
    starts = [(whole - size) // 2 for whole, size in zip(mask.shape[1:], space, strict=False)]
    return mask[(slice(None), *(slice(start, start + size) for start, size in zip(starts, space, strict=True)))]
