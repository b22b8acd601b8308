"""What training a spec would do, said before it is done."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnlab.data.batches import steps_per_epoch
from cnnlab.data.boxes import box_counts
from cnnlab.data.workers import check_workers
from cnnlab.errors import SpecError
from cnnlab.optim.accumulation import updates_per_epoch
from cnnlab.runs.energy import check_energy
from cnnlab.runs.network import Network, find_network
from cnnlab.runs.pretrained import load_weights
from cnnlab.runs.teacher import Lesson, find_lesson


@dataclass(frozen=True)
class Plan:
    """A spec that holds: its network, and the sizes of its data and training (None without data)."""

    network: Network
    counts: dict[str, int] | None
    steps_per_epoch: int | None
    lesson: Lesson | None = None

    @property
    def steps(self) -> int | None:
        epochs = self.network.experiment.train.epochs
        return None if self.steps_per_epoch is None else epochs * self.steps_per_epoch

    @property
    def updates(self) -> int | None:
        """Fewer than steps where gradients of several batches make one."""
        experiment = self.network.experiment
        if self.steps_per_epoch is None:
            return None
        return experiment.train.epochs * updates_per_epoch(self.steps_per_epoch, experiment.optimizer.accumulate)

    def document(self) -> dict[str, Any]:
        """What `cnnlab check --json` prints."""
        experiment, prepared = self.network.experiment, self.network.prepared
        return {
            "name": experiment.name,
            "model": self.network.summary(),
            "training": self.network.training.to_json(),
            "counts": self.counts,
            "boxes": None if prepared is None else box_counts(prepared.dataset, prepared.splits) or None,
            "batch_size": experiment.data.batch_size if self.counts else None,
            "steps_per_epoch": self.steps_per_epoch,
            "epochs": experiment.train.epochs,
            "steps": self.steps,
            "updates": self.updates,
            "distill": self._distill(),
        }

    def _distill(self) -> dict[str, Any] | None:
        distill, lesson = self.network.experiment.distill, self.lesson
        if distill is None or lesson is None:
            return None
        heads = {mine: theirs for mine, theirs in lesson.teacher.pairs.items() if mine or theirs}
        return {**distill.model_dump(), "parameters": lesson.parameters, "sha256": lesson.sha256, "heads": heads}


def plan(spec: Path, overrides: list[str], shape: tuple[int, ...] | None) -> Plan:
    """Check everything that can be checked without a step. Raises SpecError and DataError."""
    if spec.is_dir():
        raise SpecError(
            "is a directory, not a spec", where=str(spec), hint="name a .yaml file; 'cnnlab summary' takes runs"
        )
    network = find_network(spec, overrides, shape)
    check_energy(network.experiment.train.energy)
    check_workers(network.experiment.data)
    if network.experiment.model.weights is not None:
        load_weights(network.experiment.model, network.model, network.traced.input_shape)
    if network.prepared is None:
        return Plan(network, None, None)

    counts = network.prepared.counts
    steps = steps_per_epoch(counts["train"], network.experiment.data.batch_size)
    return Plan(network, counts, steps, find_lesson(network.experiment, network.prepared))
