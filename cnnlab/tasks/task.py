"""What there is to learn, as the step, the evaluation and the tables see it: one interface for all tasks.

The device sees batches: `output` is what the network gives, `x` the normalised input before it was corrupted, `y`
the task's target. A pass over a split brings back an `Outcome` a batch; on the host they are joined to `Found`.
"""

import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float

from cnnlab.data.dataset import Dataset
from cnnlab.losses.chosen import penalty
from cnnlab.metrics.bootstrap import Statistic, intervals
from cnnlab.spec.losses import Loss
from cnnlab.spec.tasks import FIGURES

Sums = Mapping[str, Array | np.ndarray]
"""What an epoch of training adds up on the device, "loss" and "examples" among it; means are taken at its end."""

Losses = Array | Mapping[str, Array]
"""Of each example, [batch]; of several heads by their names."""


class Outcome(NamedTuple):
    """Of each example: what its figures need, and what a picture of the first few shows; arrays [batch, ...]."""

    values: Mapping[str, Array | np.ndarray]
    shown: Mapping[str, Array | np.ndarray]


@dataclass(frozen=True, eq=False)
class Found:
    """A split's outcomes in its order, without padding, and the targets: `shown` of its first examples alone."""

    values: dict[str, np.ndarray]
    shown: dict[str, np.ndarray]
    target: Any  # np.ndarray; of several heads a mapping of such, by kind

    def __len__(self) -> int:
        return len(next(iter(self.target.values())) if isinstance(self.target, Mapping) else self.target)


@dataclass(frozen=True, eq=False)
class Listing:
    """The examples of a split by name, for tables: their places in the data, and their files where they are such."""

    split: str
    indices: np.ndarray
    files: list[str] | None


class Task(ABC):
    """One thing to learn. `names` are of its classes, labels or values, `source` is what messages call the data."""

    name: ClassVar[str]
    target: ClassVar[str]  # "class", or the name of a target of the dataset
    one_of: ClassVar[bool] = False  # an answer has probabilities of classes, one of which holds
    names: tuple[str, ...]
    loss: Loss

    @property
    def trained(self) -> tuple[str, ...]:
        """Figures of a training epoch."""
        return FIGURES[self.name][0]

    @property
    def validated(self) -> tuple[str, ...]:
        """And of the validation after it, out of the report."""
        return FIGURES[self.name][1]

    @property
    def curve(self) -> str:
        """The figure that is drawn beside the loss."""
        return self.validated[-1]

    @property
    def shown(self) -> int:
        """Examples of a split, from the first on, of which the evaluation keeps what pictures show."""
        return 12

    @property
    def outputs(self) -> int:
        """How many numbers there are to an answer, or to each of its positions."""
        return len(self.names)

    @property
    def classes(self) -> int | None:
        """What `classes` stands for in the layers of a spec's model; None where they may not say it."""
        return self.outputs

    @abstractmethod
    def check(self, output_shape: tuple[int, ...], input_shape: tuple[int, ...]) -> None:
        """Raises SpecError where a network's output, without the batch, is not what the task needs."""

    def check_network(self, model: nnx.Module, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        """Notes on what the task costs with this network. Raises SpecError where it lacks what the task needs."""
        return ()

    @property
    def guessing(self) -> float:
        """About the loss of a network that has learnt nothing: many times that is divergence."""
        return 1.0

    # ------------------------------------------------------------ on the device

    def given(self, x: Array, y: Any, key: Array | None) -> tuple[Array, Any]:
        """What the network is given for the input x [batch, *space, channel], and what `objective`, `added` and
        `outcome` get in its place. Without a key, in evaluation, the same every time."""
        return x, x

    @abstractmethod
    def objective(self, output: Any, x: Any, y: Any) -> tuple[Losses, Losses]:
        """The loss of each example, which `added` gets, and what training lowers: the same, or with what auxiliary
        outputs add. Of several heads both by name, and of what training lowers each part times its weight."""

    def lesson(self, output: Any) -> Any:
        """What a student of the same task learns from this network's output in evaluation: here the output itself."""
        return output

    def distillation(self, output: Any, taught: Any, y: Any, temperature: float) -> Losses:
        """How far each example's answer is from the teacher's: of distributions, which are softened, times the
        temperature's square; of several heads of each that has a teacher, times its weight.

        `taught` is the `lesson` of a network for the same task; no gradient flows into it.
        """
        raise TypeError(f"{self.name} has no teacher")  # refused before: spec.distill.TASKS

    def penalty(
        self, model: nnx.Module, x: Array, mask: Bool[Array, " batch"] | None = None
    ) -> Float[Array, ""] | float:
        """What training lowers beside the mean objective: here the loss's l1 and l2 of the weights.

        x is the input before `given`; what the mask leaves out does not count.
        """
        return penalty(self.loss, nnx.state(model, nnx.Param))

    def zero(self) -> dict[str, np.ndarray]:
        """The sums of an epoch before its first batch."""
        return {"loss": np.zeros((), np.float32), "examples": np.zeros((), np.int32)}

    def added(self, sums: Sums, output: Any, y: Any, losses: Any, mask: Bool[Array, " batch"]) -> Sums:
        """The sums with one more batch, of the `losses` that `objective` gives; what the mask leaves out does not
        count."""
        return {
            "loss": sums["loss"] + jnp.where(mask, losses, 0).sum(),
            "examples": sums["examples"] + mask.sum(dtype=jnp.int32),
        }

    def means(self, sums: Sums) -> dict[str, float]:
        """The figures `trained` over the examples seen so far."""
        return {"loss": float(sums["loss"]) / max(int(sums["examples"]), 1)}

    @abstractmethod
    def outcome(self, output: Any, x: Any, y: Any) -> Outcome:
        """What the evaluation keeps of each example."""

    def inside(self, model: nnx.Module, given: Array) -> dict[str, Array]:
        """What the evaluation keeps of the network's inside for each example, [batch, ...], beside the outcome."""
        return {}

    @abstractmethod
    def answer(self, output: Any) -> Any:
        """What `predict` says: probabilities, or values in their own units, [batch, ...]."""

    # ------------------------------------------------------------ on the host

    def targets(self, dataset: Dataset) -> Any:
        """What the steps are given as y, [example, ...]."""
        return dataset.y if self.target == "class" else dataset.targets[self.target].values

    @abstractmethod
    def validation(self, found: Found) -> dict[str, float]:
        """The figures `validated`, after every epoch."""

    @abstractmethod
    def report(self, found: Found, split: str, seed: int | None) -> dict[str, Any]:
        """The contents of metrics.json, in plain Python types: "task", "split", "n", "loss", the task's figures,
        and with a seed their confidence intervals by the bootstrap. Raises DataError where they contradict."""

    @abstractmethod
    def files(self, found: Found, report: dict[str, Any], listing: Listing) -> dict[str, str | bytes]:
        """The tables of eval/<split>/ by their names."""


def total(losses: Losses) -> Array:
    """What training lowers of each example, [batch]: of several heads the sum of their parts."""
    return reduce(operator.add, jax.tree.leaves(losses))


def joined(parts: Sequence[tuple[Outcome, Any]]) -> Found:
    """The outcomes and targets of all batches as one, their padding already removed."""
    if not parts:
        return Found({}, {}, np.zeros(0))
    outcomes, targets = zip(*parts, strict=True)

    def all_of(kind: str) -> dict[str, np.ndarray]:
        names = getattr(outcomes[0], kind)
        return {n: np.concatenate([getattr(o, kind)[n] for o in outcomes if n in getattr(o, kind)]) for n in names}

    several = isinstance(targets[0], Mapping)
    target = {k: np.concatenate([t[k] for t in targets]) for k in targets[0]} if several else np.concatenate(targets)
    return Found(all_of("values"), all_of("shown"), target)


def mean_loss(found: Found) -> float:
    """The float64 mean of the stored float32 losses."""
    return float(found.values["loss"].mean(dtype=np.float64))


def with_intervals(statistic: Statistic, examples: int, seed: int | None) -> dict[str, Any]:
    """The 95 % intervals of the figures: [low, high], or null where one is never defined; none without a seed."""
    if seed is None:
        return {}
    found = intervals(statistic, examples, seed=seed)
    return {name: None if one.low is None else [one.low, one.high] for name, one in found.items()}
