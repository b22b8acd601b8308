"""One pass over a split: the one way in which figures of a split come about."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cnnlab.data.batches import Batch, Targets, evaluation_batches, taken
from cnnlab.data.prepare import Prepared
from cnnlab.tasks.task import Found, Outcome, Task, joined
from cnnlab.train import devices
from cnnlab.train.step import Program


def seen_targets(task: Task, prepared: Prepared) -> Targets:
    """The task's target of every example, cut as evaluation cuts its input."""
    targets = task.targets(prepared.dataset)
    if isinstance(targets, Mapping):
        return {kind: prepared.seen_target(values, kind) for kind, values in targets.items()}
    return prepared.seen_target(targets, task.target)


def evaluate(
    program: Program,
    params: Any,
    stats: Any,
    prepared: Prepared,
    split: str,
    batch_size: int,
    check: Callable[[], None] = lambda: None,
) -> Found:
    """Every example of the split once, in order; `check` is called between batches and may raise."""
    parts: list[tuple[Outcome, Targets]] = []
    seen, pending, params = 0, None, program.ready(params)

    def keep(outcome: Outcome, batch: Batch) -> None:
        nonlocal seen
        values = {name: np.asarray(array)[batch.mask] for name, array in outcome.values.items()}
        left = max(program.task.shown - seen, 0)
        shown = {name: np.asarray(array)[batch.mask][:left] for name, array in outcome.shown.items() if left}
        seen += int(batch.mask.sum())
        parts.append((Outcome(values, shown), taken(batch.y, batch.mask)))

    targets, part = seen_targets(program.task, prepared), devices.part_of(program.mesh)
    for batch in evaluation_batches(prepared, split, batch_size, targets, part):
        check()
        outcome = program.evaluate(params, stats, devices.whole(batch.x, program.mesh), batch.y)
        if pending is not None:  # fetched only now, while the device works on the next batch
            keep(*pending)
        pending = (outcome, batch)
    if pending is not None:
        keep(*pending)
    return joined(parts)
