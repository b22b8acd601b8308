"""Several tasks at once, whose heads share a trunk: their losses are added up, their figures stand side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float

from cnnlab.data.dataset import Dataset
from cnnlab.errors import SpecError
from cnnlab.spec.vocabulary import Layers
from cnnlab.tasks.reconstruction import Reconstruction, Wanted
from cnnlab.tasks.task import Found, Listing, Outcome, Sums, Task, mean_loss, total

ALONE = ""  # the name of what is no head, but all that a network learns


@dataclass(frozen=True)
class Head:
    """A task under a name, the weight of its loss, and its layers on top of the trunk."""

    name: str
    task: Task
    weight: float
    layers: Layers

    @property
    def path(self) -> str:
        """Of its settings in the spec."""
        return f"task.heads.{self.name}"


@dataclass(frozen=True)
class SeveralHeads(Task):
    """Outputs and losses by the heads' names, targets by their kinds; figures, tables and files under `<head>/`.

    There is one trunk, and one input to it: where a head undoes a corruption, all heads see the corrupted input.
    """

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

    @property
    def shown(self) -> int:
        return max(head.task.shown for head in self.heads)

    @cached_property
    def reconstructing(self) -> Head | None:
        """The one head that learns the input itself."""
        return next((head for head in self.heads if isinstance(head.task, Reconstruction)), None)

    def check(self, output_shape: tuple[int, ...], input_shape: tuple[int, ...]) -> None:
        """Every head is checked where it is built, which knows its shape."""

    def check_network(self, model: nnx.Module, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        """A code is a layer of the trunk."""
        notes: list[str] = []
        for head in self.heads:
            try:
                found = head.task.check_network(model, input_shape)
            except SpecError as error:
                raise SpecError(error.message, where=f"{head.path}.{error.where}", hint=error.hint) from None
            notes += [f"{head.path}.{note}" for note in found]
        return tuple(notes)

    @property
    def guessing(self) -> float:
        return sum(head.weight * head.task.guessing for head in self.heads)

    # ------------------------------------------------------------ on the device

    def given(self, x: Array, y: Mapping[str, Array], key: Array | None) -> tuple[Array, Any]:
        """As the head that reconstructs has it."""
        head = self.reconstructing
        return (x, x) if head is None else head.task.given(x, y[head.task.target], key)

    def objective(
        self, output: Mapping[str, Any], x: Array | Wanted, y: Mapping[str, Array]
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """By the heads' names: their losses, and what training lowers, times their weights."""
        losses: dict[str, Any] = {}
        lowered: dict[str, Any] = {}
        for head in self.heads:
            found = head.task.objective(output[head.name], _wanted(head, x), y[head.task.target])
            losses[head.name], lowered[head.name] = found
        return losses, self._weighted(lowered)

    def lesson(self, output: Mapping[str, Any]) -> dict[str, Any]:
        return {head.name: head.task.lesson(output[head.name]) for head in self.heads}

    def distillation(
        self, output: Mapping[str, Any], taught: Mapping[str, Any], y: Mapping[str, Array], temperature: float
    ) -> dict[str, Array]:
        distances: dict[str, Any] = {
            head.name: head.task.distillation(output[head.name], taught[head.name], y[head.task.target], temperature)
            for head in self.heads
            if head.name in taught
        }
        return self._weighted(distances)

    def penalty(
        self, model: nnx.Module, x: Array, mask: Bool[Array, " batch"] | None = None
    ) -> Float[Array, ""] | float:
        return sum((head.weight * head.task.penalty(model, x, mask) for head in self.heads), 0.0)

    def zero(self) -> dict[str, np.ndarray]:
        return {**super().zero(), **_prefixed({head.name: head.task.zero() for head in self.heads})}

    def added(
        self, sums: Sums, output: Any, y: Mapping[str, Array], losses: Mapping[str, Array], mask: Bool[Array, " batch"]
    ) -> Sums:
        """Of each head by its own loss, and the weighted sum of them."""
        parts = {
            head.name: head.task.added(
                _of(sums, head.name), output[head.name], y[head.task.target], losses[head.name], mask
            )
            for head in self.heads
        }
        return {**super().added(sums, output, y, self._total(losses), mask), **_prefixed(parts)}

    def means(self, sums: Sums) -> dict[str, float]:
        parts = {head.name: head.task.means(_of(sums, head.name)) for head in self.heads}
        return {**super().means(sums), **_prefixed(parts)}

    def outcome(self, output: Mapping[str, Any], x: Array | Wanted, y: Mapping[str, Array]) -> Outcome:
        """What each head keeps under its name, and the weighted sum of their losses."""
        parts = {
            head.name: head.task.outcome(output[head.name], _wanted(head, x), y[head.task.target])
            for head in self.heads
        }
        values = _prefixed({name: part.values for name, part in parts.items()})
        shown = _prefixed({name: part.shown for name, part in parts.items()})
        losses = self._total({name: part.values["loss"] for name, part in parts.items()})
        return Outcome({**values, "loss": losses}, shown)

    def inside(self, model: nnx.Module, given: Array) -> dict[str, Array]:
        return _prefixed({head.name: head.task.inside(model, given) for head in self.heads})

    def answer(self, output: Mapping[str, Any]) -> dict[str, Any]:
        return {head.name: head.task.answer(output[head.name]) for head in self.heads}

    def _weighted(self, losses: Mapping[str, Any]) -> dict[str, Array]:
        """Of each of these heads the losses times its weight."""
        return {head.name: head.weight * jnp.asarray(losses[head.name]) for head in self.heads if head.name in losses}

    def _total(self, losses: Mapping[str, Any]) -> Array:
        """The losses of all heads times their weights, added up."""
        return total(self._weighted(losses))

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


def _wanted(head: Head, x: Array | Wanted) -> Any:
    """What a head's task is given as x: of all but the one that reconstructs the input that the trunk saw."""
    return x.given if isinstance(x, Wanted) and not isinstance(head.task, Reconstruction) else x


def _prefixed(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`<head>/<name>` for what each head has."""
    return {f"{name}/{key}": value for name, part in parts.items() for key, value in part.items()}


def _of(whole: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What `_prefixed` has put under a head's name."""
    return {key.removeprefix(f"{name}/"): value for key, value in whole.items() if key.startswith(f"{name}/")}
