"""Several tasks at once, whose heads share a trunk: their losses are added up, their figures stand side by side."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float

from cnnlab.data.dataset import Dataset
from cnnlab.spec.vocabulary import Layers
from cnnlab.tasks.task import Found, Listing, Outcome, Sums, Task, mean_loss


@dataclass(frozen=True)
class Head:
    """A task under a name, the weight of its loss, and its layers on top of the trunk."""

    name: str
    task: Task
    weight: float
    layers: Layers


@dataclass(frozen=True)
class SeveralHeads(Task):
    """Outputs by the heads' names, targets by their kinds; figures, tables and files under `<head>/`."""

    heads: tuple[Head, ...]

    name = "heads"
    target = "several"
    loss = None  # pyright: ignore[reportAssignmentType]  (every head has its own)

    @property
    def names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return tuple(head.name for head in self.heads)

    @property
    def classes(self) -> None:
        """The trunk has none."""

    @property
    def trained(self) -> tuple[str, ...]:
        return ("loss", *(f"{head.name}/{figure}" for head in self.heads for figure in head.task.trained))

    @property
    def validated(self) -> tuple[str, ...]:
        return ("loss", *(f"{head.name}/{figure}" for head in self.heads for figure in head.task.validated))

    @property
    def curve(self) -> str:
        return f"{self.heads[0].name}/{self.heads[0].task.curve}"

    def check(self, output_shape: tuple[int, ...], input_shape: tuple[int, ...]) -> None:
        """Every head is checked where it is built, which knows its shape."""

    @property
    def guessing(self) -> float:
        return sum(head.weight * head.task.guessing for head in self.heads)

    # ------------------------------------------------------------ on the device

    def objective(
        self, output: Mapping[str, Any], x: Array, y: Mapping[str, Array]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """The heads' losses times their weights, added up."""
        found = [head.task.objective(output[head.name], x, y[head.task.target]) for head in self.heads]
        weighted = [
            (head.weight * losses, head.weight * objective)
            for head, (losses, objective) in zip(self.heads, found, strict=True)
        ]
        losses, objectives = zip(*weighted, strict=True)
        return reduce(operator.add, losses), reduce(operator.add, objectives)

    def penalty(
        self, model: nnx.Module, x: Array, mask: Bool[Array, " batch"] | None = None
    ) -> Float[Array, ""] | float:
        return sum((head.weight * head.task.penalty(model, x, mask) for head in self.heads), 0.0)

    def zero(self) -> dict[str, np.ndarray]:
        return {**super().zero(), **_prefixed({head.name: head.task.zero() for head in self.heads})}

    def added(
        self, sums: Sums, output: Any, y: Mapping[str, Array], losses: Array, mask: Bool[Array, " batch"]
    ) -> Sums:
        """Of each head by its own loss, of each example's own target where examples are mixed."""
        parts = {}
        for head in self.heads:
            given, target = output[head.name], y[head.task.target]
            own, _ = head.task.objective(given, jnp.zeros(()), target)
            parts[head.name] = head.task.added(_of(sums, head.name), given, target, own, mask)
        return {**super().added(sums, output, y, losses, mask), **_prefixed(parts)}

    def means(self, sums: Sums) -> dict[str, float]:
        parts = {head.name: head.task.means(_of(sums, head.name)) for head in self.heads}
        return {**super().means(sums), **_prefixed(parts)}

    def outcome(self, output: Mapping[str, Any], x: Array, y: Mapping[str, Array]) -> Outcome:
        """What each head keeps under its name, and the weighted sum of their losses."""
        parts = {head.name: head.task.outcome(output[head.name], x, y[head.task.target]) for head in self.heads}
        values = _prefixed({name: part.values for name, part in parts.items()})
        shown = _prefixed({name: part.shown for name, part in parts.items()})
        total = sum(head.weight * jnp.asarray(parts[head.name].values["loss"]) for head in self.heads)
        return Outcome({**values, "loss": jnp.asarray(total)}, shown)

    def answer(self, output: Mapping[str, Any]) -> dict[str, Any]:
        return {head.name: head.task.answer(output[head.name]) for head in self.heads}

    # ------------------------------------------------------------ on the host

    def targets(self, dataset: Dataset) -> dict[str, np.ndarray]:
        """By their kinds: heads that learn the same share it."""
        return {head.task.target: head.task.targets(dataset) for head in self.heads}

    def found_by(self, head: Head, found: Found) -> Found:
        """The part of the outcomes that is a head's, as if it were alone."""
        return Found(_of(found.values, head.name), _of(found.shown, head.name), found.target[head.task.target])

    def validation(self, found: Found) -> dict[str, float]:
        parts = {head.name: head.task.validation(self.found_by(head, found)) for head in self.heads}
        return {"loss": mean_loss(found), **_prefixed(parts)}

    def report(self, found: Found, split: str, seed: int | None) -> dict[str, Any]:
        """Each head's own report under "heads"; "loss" is their weighted sum."""
        return {
            "task": self.name,
            "split": split,
            "n": len(found),
            "loss": mean_loss(found),
            "weights": {head.name: head.weight for head in self.heads},
            "heads": {head.name: head.task.report(self.found_by(head, found), split, seed) for head in self.heads},
        }

    def files(self, found: Found, report: dict[str, Any], listing: Listing) -> dict[str, str | bytes]:
        return _prefixed(
            {
                head.name: head.task.files(self.found_by(head, found), report["heads"][head.name], listing)
                for head in self.heads
            }
        )


def _prefixed(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`<head>/<name>` for what each head has."""
    return {f"{name}/{key}": value for name, part in parts.items() for key, value in part.items()}


def _of(whole: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What `_prefixed` has put under a head's name."""
    return {key.removeprefix(f"{name}/"): value for key, value in whole.items() if key.startswith(f"{name}/")}
