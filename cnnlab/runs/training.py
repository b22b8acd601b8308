"""A training run from its first file to its last: what the loop yields is written before it goes on."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnlab import kernels
from cnnlab.data.prepare import Prepared, describe, splits_csv
from cnnlab.errors import Diverged, Interrupted, RunError
from cnnlab.files import write_atomically
from cnnlab.layers.initialize import Initializer
from cnnlab.runs import history
from cnnlab.runs.directory import Run
from cnnlab.runs.energy import metered
from cnnlab.runs.environment import environment
from cnnlab.runs.pretrained import load_weights, with_weights
from cnnlab.runs.saving import Saver
from cnnlab.runs.signals import StopSignals, name_of
from cnnlab.runs.teacher import Lesson, fingerprint
from cnnlab.runs.together import begun_together, flat
from cnnlab.runs.weights import read
from cnnlab.spec.dump import to_yaml
from cnnlab.spec.load import load
from cnnlab.spec.schema import Experiment
from cnnlab.spec.train import EarlyStopping
from cnnlab.train import checkpoint, hosts
from cnnlab.train.loop import EpochEnd, Progress, Stopped, fit
from cnnlab.train.state import State
from cnnlab.train.step import Program, Sizes, compile_program
from cnnlab.train.stopping import is_over, watched
from cnnlab.train.teacher import is_taught
from cnnlab.weights.fork import network_for


@dataclass(frozen=True)
class Started:
    """A run with all that training it takes; `epoch` epochs are recorded in `state`."""

    run: Run
    experiment: Experiment
    prepared: Prepared
    program: Program
    state: State
    epoch: int
    notes: tuple[str, ...]

    @property
    def stopping(self) -> EarlyStopping:
        return watched(self.experiment.train, has_validation="validation" in self.prepared.splits)


def start(
    run: Run,
    experiment: Experiment,
    spec: Path,
    prepared: Prepared,
    model: dict[str, Any],
    *,
    resume: bool,
    lesson: Lesson | None = None,
) -> Started:
    """Begin the run, or take it up where it stopped. Raises RunError where it was begun with another spec or data.

    `model` is what model.json is to hold, `lesson` what `find_lesson` gives.
    """
    begun, learnt_from = resume and run.status.exists(), fingerprints(experiment, lesson)
    if begun:
        _check_same(run, experiment, prepared, learnt_from)
    else:
        _begin(run, experiment, spec, prepared, {**model, **learnt_from})
    program = compile_program(
        experiment, Sizes.of(experiment, prepared), teacher=lesson and lesson.teacher, together=True
    )
    state, epoch, notes = restore(run, program) if begun else (None, 0, [])
    if begun and (before := run.read_json(run.environment).get("processes", 1)) != hosts.processes():
        notes.append(f"begun by {before} processes, and {hosts.processes()} go on: as exact, but not the same bits")
    if (status := kernels.enable()).missed:
        notes.append(f"training is slower than it could be, without the kernels: {status.why}")
    if state is None:
        state = first_state(experiment, prepared, program)
    state = begun_together(program, state, epoch, history.read(run.history)[:epoch])
    for note in (*prepared.notes, *notes):
        run.write_log(f"note: {note}")
    if begun:
        run.write_log(f"resumed after step {int(state.step)}")
    return Started(run, experiment, prepared, program, state, epoch, tuple(notes))


def _begin(run: Run, experiment: Experiment, spec: Path, prepared: Prepared, model: dict[str, Any]) -> None:
    """Write what is known before the first step. status.json comes last: with it the run has begun."""
    write_atomically(run.spec, spec.read_bytes())
    write_atomically(run.resolved, to_yaml(experiment))
    run.write_json(run.environment, environment(experiment.seed, spec))
    run.write_json(run.data, describe(prepared))
    write_atomically(run.splits, splits_csv(prepared))
    run.write_json(run.model, model)
    set_status(run, "running", None)


@contextmanager
def recorded(run: Run) -> Iterator[None]:
    """Whatever ends the work inside is written to the run's status."""
    try:
        yield
    except Interrupted:
        raise  # recorded where it was saved
    except (Exception, KeyboardInterrupt) as error:
        reason = str(error) or type(error).__name__
        if run.status.exists():
            status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            set_status(run, status, reason)
            run.write_log(f"{status}: {reason}")
        raise


def set_status(run: Run, status: str, reason: str | None, **more: Any) -> None:
    """status.json: running, finished, interrupted or failed, and why."""
    run.write_json(run.status, {"status": status, "reason": reason, **more})


def _check_same(run: Run, experiment: Experiment, prepared: Prepared, learnt_from: Mapping[str, str | None]) -> None:
    """Raises RunError that names the first setting in which the run differs, or that data, weights or teacher do."""
    before = flat(load(run.resolved, begun=True).model_dump(mode="json"))
    now = flat(experiment.model_dump(mode="json"))
    before["data.workers"] = now.get("data.workers")  # any number gives the same bits
    unsaid = {key for key in {*before, *now} if key.split(".")[0] == "task" and "task" in before}  # by an older run
    for key in sorted({*before, *now} - unsaid):
        if before.get(key) != now.get(key):
            message = f"was begun with {key} = {before.get(key)!r}, and the spec says {now.get(key)!r}"
            raise RunError(message, where=str(run.path), hint="a resumed run takes the same spec; start a new one")
    if run.read_json(run.data).get("fingerprints") != describe(prepared)["fingerprints"]:
        hint = "put the data back as it was, or start a new run"
        raise RunError("the data is not what it was when the run began", where=str(run.path), hint=hint)
    stored = run.read_json(run.model)
    for key, what, place in (
        ("weights", "model.weights", "file"),
        ("teacher", "the weights of distill.teacher", "run"),
    ):
        if stored.get(key) != learnt_from[key]:
            hint = f"put the {place} back as it was, or start a new run"
            raise RunError(f"{what} are not what they were when the run began", where=str(run.path), hint=hint)


def fingerprints(experiment: Experiment, lesson: Lesson | None) -> dict[str, str | None]:
    """The SHA-256 of the weights that a spec starts from, of the file or of the run's best checkpoint, and of those of
    its teacher."""
    found = {"weights": None, "teacher": None if lesson is None else lesson.sha256}
    if experiment.model.weights is None:
        return found
    path = Path(experiment.model.weights)
    return {**found, "weights": fingerprint(read(path)[0]) if path.is_dir() else checkpoint.sha256(path)}


def first_state(experiment: Experiment, prepared: Prepared, program: Program) -> State:
    """The state before the first step: drawn from the seed, or with the weights that the spec names."""
    if experiment.model.weights is None:
        return program.initial_state
    network = network_for(experiment.model, prepared.input_shape, program.task, init=Initializer())
    weights = load_weights(experiment.model, network, prepared.input_shape)
    return program.placed(with_weights(program.host_state, weights))


def restore(run: Run, program: Program) -> tuple[State | None, int, list[str]]:
    """The newest state that is whole, the epochs recorded in it, and a sentence for each damaged one.

    Damaged steps are removed once a good one is found; without any there is no state, and the run starts anew.
    """
    damaged, notes = [], []
    state, epoch = None, 0
    for candidate in reversed(checkpoint.stored(run.checkpoints)):
        try:
            state, epoch = program.placed(checkpoint.load(candidate, program.host_state)), candidate.epoch
            break
        except RunError as error:
            damaged.append(candidate)
            notes.append(f"{error}; an older step is used")
    good = [c for c in checkpoint.stored(run.checkpoints) if c not in damaged]
    checkpoint.keep(run.checkpoints, good)
    return state, epoch, notes


def train(started: Started, signals: StopSignals) -> Generator[Progress | EpochEnd, None, None]:
    """Train to the end, yielding what happens; history is on disk when an epoch is yielded, checkpoints at the end.

    Raises Interrupted after saving, Diverged with the last good checkpoint kept. Close it where it is left early.
    """
    train, rows = started.experiment.train, history.read(started.run.history)[: started.epoch]
    ended = len(rows) == train.epochs or (rows and is_over(rows, started.stopping))
    with (
        metered(started.run, None if ended else train.energy) as epoch_counted,
        closing(_train(started, signals)) as events,
    ):
        for event in events:
            if isinstance(event, EpochEnd):
                epoch_counted()
            yield event


def _train(started: Started, signals: StopSignals) -> Generator[Progress | EpochEnd, None, None]:
    run, experiment, stopping = started.run, started.experiment, started.stopping
    rows = history.read(run.history)[: started.epoch]
    if len(rows) < started.epoch:
        message = f"its history.csv has {len(rows)} epochs, and its checkpoint {started.epoch}"
        raise RunError(message, where=str(run.path), hint="restore the file, or start a new run")
    set_status(run, "running", None)
    averaged, taught = started.program.judged is not None, is_taught(experiment)
    columns = history.columns(started.program.task, averaged=averaged, taught=taught)
    saver = Saver(run, experiment.train, stopping)
    asked = signals.asked_to_stop
    events = fit(started.program, experiment, started.prepared, started.state, started.epoch, asked)
    try:
        saver.begin(started.state, started.epoch)
        if rows and is_over(rows, stopping):
            return
        for event in events:
            if isinstance(event, EpochEnd):
                rows.append(event.row)
                history.write(run.history, rows, columns)
                run.write_log(line(event.row, experiment.train.epochs))
                for note in event.notes:
                    run.write_log(f"note: {note}")
                saver.epoch_ended(rows, event.state)
            yield event
            if isinstance(event, EpochEnd) and is_over(rows, stopping):
                break
        saver.settle()
    except Diverged as diverged:
        saver.keep_best()
        kept = checkpoint.stored(run.checkpoints)[-1]
        message = f"{diverged.message}; the state after step {kept.step} is kept in {run.path}"
        raise Diverged(message, hint=diverged.hint) from None
    except Stopped as stopped:
        saver.finish(stopped.state, len(rows))
        raise _interrupted(run, signals, int(stopped.state.step)) from None
    finally:
        events.close()
        saver.close()


def _interrupted(run: Run, signals: StopSignals, step: int) -> Interrupted:
    assert signals.number is not None, "the loop stops because a signal came"
    reason = f"{name_of(signals.number)} at step {step}"
    set_status(run, "interrupted", reason)
    message = f"interrupted by {reason}; saved in {run.path}"
    return Interrupted(message, signal_number=signals.number, hint="--resume continues it")


def line(row: dict[str, float], epochs: int) -> str:
    """One epoch as a line of text."""
    parts = [f"epoch {row['epoch']}/{epochs}", f"step {row['step']}"]
    parts += [f"{name} {row[name]:.4f}" for name in row if "/" in name]
    return "  ".join([*parts, f"{row['images_per_second']:,.0f} images/s"])
