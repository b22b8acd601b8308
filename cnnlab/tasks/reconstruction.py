"""The input itself: autoencoders, denoisers, masked patches, and what their error says of anomalies."""

from dataclasses import dataclass
from math import inf, prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float, Int

from cnnlab.data.dataset import Dataset
from cnnlab.data.stored import StoredImages
from cnnlab.errors import DataError, SpecError
from cnnlab.layers.activation import Sigmoid, Softmax
from cnnlab.layers.compose import Sequential
from cnnlab.layers.windows import show
from cnnlab.losses.chosen import of_values
from cnnlab.losses.divergence import sparse_penalty
from cnnlab.losses.jacobian import squared_jacobian
from cnnlab.losses.regression import absolute
from cnnlab.metrics import resampled
from cnnlab.metrics.bootstrap import together
from cnnlab.metrics.reconstruction import anomalies, reconstruction_report
from cnnlab.models.part import last_of, up_to
from cnnlab.spec.losses import Loss
from cnnlab.spec.tasks import ReconstructionTask
from cnnlab.tasks.corruption import corrupted, squares_per_axis
from cnnlab.tasks.reconstructed import files
from cnnlab.tasks.task import Found, Listing, Outcome, Task, mean_loss, with_intervals

EVALUATION = 2**32 - 1  # what evaluation's draws follow from, in the place of a step
MANY_UNITS = 128  # of a code, from which on the contractive penalty's cost is told
CODES = ("encoder", "code")  # what the code's layer is called where the spec says nothing


class Wanted(NamedTuple):
    """Of a batch: the input, what the loss compares with, what the network was given, and where both count."""

    clean: Array
    target: Array
    given: Array
    counted: Array


@dataclass(frozen=True)
class Reconstruction(Task):
    """A map of the input's shape, or as a vector of as many values; with binary cross-entropy of logits.

    The loss is of normalised values, as the network gets them; figures and answers are in the input's own units, 0 to
    1 of pixels. Penalties are of the code that evaluation gives for the input as it is, uncorrupted.
    """

    names: tuple[str, ...]  # classes of the data, which tell anomalies and label the codes
    loss: Loss
    spec: ReconstructionTask
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pixels: bool
    scaled: bool  # values are near 1: pixels, or normalised
    seed: int = 0

    name = "reconstruction"
    target = "input"  # which an example has in any case; its class and place come along

    @property
    def outputs(self) -> int:
        """As many as the input has channels."""
        return self.shape[-1]

    @property
    def shown(self) -> int:
        """Among more there are some that are normal, and some anomalies."""
        return super().shown if self.spec.normal is None else 128

    @property
    def guessing(self) -> float:
        """Of values of any size there is no loss that says that training has diverged."""
        return 1.0 if self.scaled else inf

    def check(self, output_shape: tuple[int, ...], input_shape: tuple[int, ...]) -> None:
        if output_shape not in (input_shape, (prod(input_shape),)):
            message = f"gives {show(output_shape)}, and reconstruction needs the input's own {show(input_shape)}"
            hint = "choose conv_autoencoder or unet with padding: same, or end with as many values as the input has"
            raise SpecError(message, where="model", hint=hint)
        corruption, space = self.spec.corruption, input_shape[:-1]
        if corruption and corruption.patches is not None and prod(squares_per_axis(space, corruption.size)) < 2:
            message = f"one square of {corruption.size} positions covers the input, {show(input_shape)}"
            raise SpecError(message, where="task.corruption.size", hint="give smaller ones")

    def check_inputs(self, x: np.ndarray | StoredImages, where: str) -> None:
        """Raises DataError where binary cross-entropy cannot take a value."""
        if self.loss.name != "binary_cross_entropy" or self.pixels or isinstance(x, StoredImages):
            return
        if x.min() < 0 or x.max() > 1:
            message = f"values from {x.min():g} to {x.max():g}, and binary_cross_entropy takes 0 to 1"
            raise DataError(message, where=where, hint="scale them, or use mean_squared")

    def check_network(self, model: nnx.Module, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        encoder = self.encoder(model)
        setting = "sparse" if self.spec.sparse else "contractive"
        if encoder is None:
            if self.spec.sparse or self.spec.contractive:
                message = f"penalises the code, and the network has no layer {' or '.join(CODES)}"
                hint = "name a layer of the model 'code', or name it in task.code"
                raise SpecError(message, where=f"task.{setting}", hint=hint)
            return ()
        last, sparse = last_of(encoder), self.spec.sparse
        if sparse and sparse.penalty == "kullback_leibler" and not isinstance(last, Sigmoid | Softmax):
            message = f"kullback_leibler is of activities from 0 to 1, and the code is that of {type(last).__name__}"
            raise SpecError(message, where="task.sparse.penalty", hint="let the code's layer be a sigmoid, or use l1")
        graph, state = nnx.split(encoder)
        example = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)
        units = jax.eval_shape(lambda state, x: nnx.merge(graph, state)(x), state, example).size
        if self.spec.contractive and units > MANY_UNITS:
            return (f"task.contractive: every step takes {units:,} passes back through the encoder, one for each unit",)
        return ()

    def encoder(self, model: nnx.Module) -> Sequential | None:
        """The network up to its code; None where the spec names none and no layer has such a name.

        Raises SpecError where the layer that it names is not on the one way to the output.
        """
        if self.spec.code is not None:
            return up_to(model, self.spec.code, "task.code")
        there = [name for name in CODES if isinstance(model, Sequential) and name in model.order]
        return up_to(model, there[0], "task.code") if there else None

    # ------------------------------------------------------------ on the device

    def given(self, x: Array, y: Int[Array, "batch 2"], key: Array | None) -> tuple[Array, Wanted]:
        spec = self.spec.corruption
        everywhere = jnp.ones((*x.shape[:-1], 1), bool)
        if spec is None:
            return x, Wanted(x, x, x, everywhere)
        base = jax.random.fold_in(jax.random.key(np.uint32(self.seed)), np.uint32(EVALUATION)) if key is None else key
        keys = jax.vmap(lambda index: jax.random.fold_in(base, index))(y[:, 1])
        mean, std = jnp.asarray(self.mean, x.dtype), jnp.asarray(self.std, x.dtype)
        black, white = -mean / std, (1 - mean) / std
        bounds = (black, white) if self.pixels else None
        given, hidden = corrupted(x, keys, spec, black=black, bounds=bounds)
        target = x
        if self.spec.target == "noisy" and key is not None:
            again = jax.vmap(lambda one: jax.random.fold_in(one, 1))(keys)
            target, _ = corrupted(x, again, spec, black=black, bounds=bounds)
        return given, Wanted(x, target, given, hidden if self.spec.hidden_only else everywhere)

    def objective(
        self, output: Float[Array, "batch ..."], x: Wanted, y: Int[Array, "batch 2"]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        output = output.reshape(x.target.shape)
        if not self.spec.hidden_only:
            losses = of_values(self.loss)(output, x.target)
        else:  # where it does not count the error, and with it the loss, is 0
            counted = jnp.where(x.counted, output, x.target)
            losses = of_values(self.loss)(counted, x.target) / _per_example(x.counted).mean(-1)
        return losses, losses

    def penalty(
        self, model: nnx.Module, x: Array, mask: Bool[Array, " batch"] | None = None
    ) -> Float[Array, ""] | float:
        found, sparse = super().penalty(model, x, mask), self.spec.sparse
        if sparse is None and not self.spec.contractive:
            return found
        encode, counted = self.encoder(model), jnp.ones(len(x), bool) if mask is None else mask
        assert encode is not None, "check_network was asked before"

        def mean(values: Float[Array, " batch"]) -> Float[Array, ""]:
            return jnp.where(counted, values, 0).sum() / jnp.maximum(counted.sum(), 1)

        if sparse is not None and sparse.penalty == "l1":
            found = found + sparse.weight * mean(_per_example(absolute(encode(x))).sum(-1))
        elif sparse is not None:
            found = found + sparse.weight * sparse_penalty(encode(x), rho=sparse.rho, mask=counted)
        if self.spec.contractive:
            found = found + self.spec.contractive * mean(squared_jacobian(encode, x))
        return found

    def outcome(self, output: Array, x: Wanted, y: Int[Array, "batch 2"]) -> Outcome:
        """Errors over what counts, in the input's own units, and the range of the input."""
        clean, given, reconstruction = self._own(x.clean), self._own(x.given), self.answer(output)

        def mse(found: Array) -> Float[Array, " batch"]:
            squared = _per_example(jnp.where(x.counted, jnp.square(found - clean), 0)).mean(-1)
            return squared / _per_example(x.counted).mean(-1)

        values = {"loss": self.objective(output, x, y)[0], "mse": mse(reconstruction)}
        values |= {"low": _per_example(clean).min(-1), "high": _per_example(clean).max(-1)}
        shown = {"x": clean, "reconstruction": jnp.where(x.counted, reconstruction, clean)}
        if self.spec.corruption is not None:
            values["corrupted_mse"] = mse(given)
            shown["given"] = given
        return Outcome(values, shown)

    def inside(self, model: nnx.Module, given: Array) -> dict[str, Array]:
        encode = self.encoder(model)
        return {} if encode is None else {"code": encode(given)}

    def answer(self, output: Array) -> Float[Array, "batch ..."]:
        output = output.reshape(len(output), *self.shape)
        return jax.nn.sigmoid(output) if self.loss.name == "binary_cross_entropy" else self._own(output)

    def _own(self, x: Array) -> Array:
        """Normalised values in the input's own units."""
        return x * jnp.asarray(self.std, x.dtype) + jnp.asarray(self.mean, x.dtype)

    # ------------------------------------------------------------ on the host

    def targets(self, dataset: Dataset) -> np.ndarray:
        """Class and place of each example, int32 [example, 2]: what is drawn for it follows from its place."""
        return np.stack([dataset.y, np.arange(len(dataset.y), dtype=np.int32)], axis=1)

    def errors(self, x: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
        """The mean squared error of each example in its own units, float64; x [example, *space, channel] normalised."""
        own = x.astype(np.float64) * np.array(self.std) + np.array(self.mean)
        return ((reconstruction - own) ** 2).reshape(len(x), -1).mean(-1)

    def validation(self, found: Found) -> dict[str, float]:
        report = self._report(found)
        return {
            "loss": mean_loss(found),
            "mse": report["mse"],
            "psnr": float("nan") if report["psnr"] is None else report["psnr"],
        }

    def report(self, found: Found, split: str, seed: int | None) -> dict[str, Any]:
        mse = found.values["mse"].astype(np.float64)
        statistics = [
            resampled.mean("loss", found.values["loss"]),
            resampled.reconstruction(mse, self._peak(found), found.values.get("corrupted_mse")),
        ]
        if self.spec.normal is not None:
            strange = anomalies(found.target[:, 0], self.names, self.spec.normal)
            statistics.append(resampled.ranking(strange[:, None], mse[:, None]))
        return {
            "task": self.name,
            "split": split,
            "n": len(found),
            "loss": mean_loss(found),
            **self._report(found),
            "intervals": with_intervals(together(*statistics), len(found), seed),
        }

    def _report(self, found: Found) -> dict[str, Any]:
        return reconstruction_report(
            found.values["mse"],
            self._peak(found),
            found.target[:, 0],
            self.names,
            corrupted_mse=found.values.get("corrupted_mse"),
            normal=self.spec.normal,
        )

    def _peak(self, found: Found) -> float:
        """1 of pixels, else the range of the examples at hand."""
        return 1.0 if self.pixels else float(found.values["high"].max() - found.values["low"].min())

    def files(self, found: Found, report: dict[str, Any], listing: Listing) -> dict[str, str | bytes]:
        return files(found, report, listing, self.names)


def _per_example(values: Array) -> Array:
    """[batch, ...] as [batch, all]; of yes and no as 1 and 0."""
    return jnp.asarray(values, jnp.result_type(values, jnp.float32)).reshape(len(values), -1)
