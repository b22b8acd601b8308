"""A run that several processes train together: what they must have in common, and the part of those that only compute.

Process 0 has the run directory; nobody else reads or writes it.
"""

import json
import os
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import jax

from cnnlab import __version__
from cnnlab.data.prepare import Prepared, describe
from cnnlab.errors import Interrupted, RunError, SpecError
from cnnlab.runs.signals import StopSignals, name_of
from cnnlab.spec.schema import Experiment
from cnnlab.spec.tasks import PerceptronTask
from cnnlab.train import hosts
from cnnlab.train.loop import EpochEnd, Stopped, fit
from cnnlab.train.state import State
from cnnlab.train.step import Program, Sizes, compile_program
from cnnlab.train.stopping import is_over, watched
from cnnlab.train.teacher import Teacher


def check_together(experiment: Experiment, prepared: Prepared, learnt_from: Mapping[str, str | None]) -> None:
    """Raises SpecError where a spec is for one process alone, RunError where the processes are not to train the same.

    `learnt_from`: fingerprints of weights and teacher.
    """
    if hosts.processes() == 1:
        return
    count, size = hosts.processes(), experiment.data.batch_size
    if size % count:
        hint = f"a multiple of {count}, or another number of processes"
        raise SpecError(f"{count} processes do not divide a batch of {size}", where="data.batch_size", hint=hint)
    if isinstance(experiment.task, PerceptronTask):
        message = "the perceptron's rule goes from example to example, and nothing is left for a second process"
        raise SpecError(message, where="task", hint="train it in one")
    if experiment.train.energy is not None:
        message = f"counts one machine's energy, and {count} processes train"
        raise SpecError(message, where="train.energy", hint="leave it out, or train in one process")
    mine = {
        **{key: value for key, value in flat(experiment.model_dump(mode="json")).items() if not _is_path(value)},
        **{f"the fingerprint of {key}": value for key, value in describe(prepared)["fingerprints"].items()},
        **{f"the fingerprint of the {key}": value for key, value in learnt_from.items()},
        "the version of cnnlab": __version__,
        "the version of jax": jax.__version__,
    }
    said = [json.loads(text) for text in hosts.gathered(json.dumps(mine))]
    for process, other in enumerate(said):
        for key in sorted({*said[0], *other}):
            if said[0].get(key) != other.get(key):
                message = f"process {process} has {key} = {other.get(key)!r}, and process 0 {said[0].get(key)!r}"
                raise RunError(message, hint="give all processes the same spec, data and cnnlab")


def _is_path(value: Any) -> bool:
    """Paths may be others on another machine: it is what lies there that counts."""
    return isinstance(value, str) and os.path.isabs(value)


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Settings by their paths; a list of plain values is one, an empty list or mapping none."""
    if isinstance(value, list) and not any(isinstance(inner, dict) for inner in value):
        return {path: value} if value else {}
    if not isinstance(value, dict | list):
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {k: v for name, inner in items for k, v in flat(inner, f"{path}.{name}".lstrip(".")).items()}


def begun_together(program: Program, state: State, epoch: int, rows: list[dict[str, float]]) -> State:
    """The state that process 0 begins with, when all have it; `epoch` epochs and their `rows` are behind it."""
    if hosts.processes() == 1:
        return state
    hosts.gathered(json.dumps([epoch, rows]))
    return program.placed(hosts.from_first(jax.device_get(state), program.mesh))


def follow(experiment: Experiment, prepared: Prepared, teacher: Teacher | None, signals: StopSignals) -> None:
    """The part of a process other than process 0: it trains along, and writes and says nothing. Raises Interrupted."""
    program = compile_program(experiment, Sizes.of(experiment, prepared), teacher=teacher, together=True)
    stopping = watched(experiment.train, has_validation="validation" in prepared.splits)
    epoch, rows = json.loads(hosts.gathered("")[0])
    state = program.placed(hosts.from_first(program.host_state, program.mesh))
    if rows and is_over(rows, stopping):
        return
    try:
        with closing(fit(program, experiment, prepared, state, epoch, signals.asked_to_stop)) as events:
            for event in events:
                if isinstance(event, EpochEnd):
                    rows.append(event.row)
                    if is_over(rows, stopping):
                        return
    except Stopped as stopped:
        assert signals.number is not None, "the loop stops because a signal came"
        message = f"interrupted by {name_of(signals.number)} at step {int(stopped.state.step)}; process 0 saves"
        raise Interrupted(message, signal_number=signals.number) from None
