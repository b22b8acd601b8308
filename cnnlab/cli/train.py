"""`cnnlab train`."""

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnlab.cli.arguments import Json, Overrides, Spec
from cnnlab.errors import SpecError

if TYPE_CHECKING:
    from cnnlab.report.results import Outcome


def train(
    spec: Spec,
    overrides: Overrides = None,
    run: Annotated[Path | None, typer.Option("--run", help="The run directory; default: runs/<name>.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run where it stopped, exactly.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no warnings.")] = False,
    fold: Annotated[
        str | None,
        typer.Option("--fold", metavar="N|all", help="The fold of data.split.folds that validates, from 1; or all."),
    ] = None,
    coordinator: Annotated[
        str | None,
        typer.Option("--coordinator", metavar="HOST:PORT|auto", help="Train with other processes; where process 0 is."),
    ] = None,
    processes: Annotated[int | None, typer.Option("--processes", metavar="N", help="How many train together.")] = None,
    process: Annotated[
        int | None, typer.Option("--process", metavar="I", help="Which of them this is, from 0.")
    ] = None,
    json: Json = False,
) -> None:
    """Train a spec; leaves a run and prints its tables.

    The run directory is runs/<name>, with -2, -3 ... when taken. The tables are the test split's, of the best step.
    Folds are runs/<name>-fold1 and so on; of all of them mean and deviation are printed.
    Several processes, on one machine or many, share each batch if each is started with the same command and its own
    --process; under SLURM, Open MPI and on TPU pods --coordinator auto is enough. Process 0 alone writes and prints.
    """
    from cnnlab.cli.process import keep_stdout, prepare
    from cnnlab.cli.programs import keep_in_each_process
    from cnnlab.train.job import joined, place

    at = place(coordinator, processes, process)
    if at is not None and fold == "all":
        message = "--fold all trains one run after the other, and --coordinator one with several processes"
        raise SpecError(message, hint="start a job for each fold")
    prepare()
    if at is not None:
        keep_stdout()
        keep_in_each_process()
    with joined(at, _say):
        _train_all(spec, list(overrides or []), run, fold, resume=resume, quiet=quiet, json=json)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _train_all(
    spec: Path, given: list[str], run: Path | None, fold: str | None, *, resume: bool, quiet: bool, json: bool
) -> None:
    """One run, or one for each fold."""
    from cnnlab.cli import render, render_folds
    from cnnlab.report import folds
    from cnnlab.runs.folds import ALL, fold_overrides, folds_of, summary_path
    from cnnlab.spec.load import load

    if fold != ALL:
        outcome = _train(spec, [*given, *fold_overrides(fold)], run, resume=resume, quiet=quiet, shown=not json)
        return render.document(outcome.document()) if json and outcome is not None else None
    results, numbers = [], folds_of(spec, given, fold)
    for number in numbers:
        if not quiet:
            render.note(f"fold {number} of {len(numbers)}")
        place = None if run is None else run / f"fold{number}"
        settings = [*given, *fold_overrides(str(number))]
        outcome = _train(spec, settings, place, resume=resume, quiet=quiet, shown=False)
        assert outcome is not None, "folds are trained by one process"
        results.append(folds.fold_result(number, outcome))
    name = load(spec, [*given, *fold_overrides(fold)]).name or ""
    found, path = folds.document(name, results), summary_path(name, run)
    folds.write(path, found)
    return render.document(found) if json else render_folds.folds(found, path)


def _train(
    spec: Path, overrides: list[str], run: Path | None, *, resume: bool, quiet: bool, shown: bool
) -> "Outcome | None":
    """One run, from its spec to its pictures; its tables are `shown` before these. None where process 0 has it all."""
    from cnnlab import kernels
    from cnnlab.cli.looking import looking
    from cnnlab.cli.outcomes import shown_then_completed
    from cnnlab.cli.progress import Display
    from cnnlab.data.workers import check_workers
    from cnnlab.receptive_field.advice import advice
    from cnnlab.report.results import finish
    from cnnlab.report.style import preload
    from cnnlab.runs import training
    from cnnlab.runs.directory import Lock, locate
    from cnnlab.runs.energy import check_energy
    from cnnlab.runs.folds import run_name
    from cnnlab.runs.network import network
    from cnnlab.runs.pretrained import load_weights, prepare_experiment
    from cnnlab.runs.signals import StopSignals
    from cnnlab.runs.teacher import find_lesson
    from cnnlab.runs.together import check_together, follow
    from cnnlab.spec.load import load
    from cnnlab.tasks import task_of
    from cnnlab.train import hosts
    from cnnlab.train.job import heard

    with StopSignals() as signals:
        asked = load(spec, overrides)
        check_energy(asked.train.energy)
        check_workers(asked.data)
        with looking(quiet=quiet or hosts.process() > 0):
            experiment, prepared = prepare_experiment(asked)
        found = network(experiment, prepared.input_shape, task_of(experiment, prepared), prepared=prepared)
        if experiment.model.weights is not None:  # told before there is a run
            load_weights(experiment.model, found.model, prepared.input_shape)
        lesson = find_lesson(experiment, prepared)
        check_together(experiment, prepared, training.fingerprints(experiment, lesson))
        if hosts.process() > 0:
            with heard():
                return follow(experiment, prepared, lesson and lesson.teacher, signals)
        directory = locate(run_name(experiment), run, resume=resume)
        with Lock(directory):
            with training.recorded(directory), Display(experiment, quiet=quiet) as display, heard():
                if kernels.to_build():
                    display.note("building the kernels for this machine, once: some ten seconds")
                model = found.summary()
                started = training.start(directory, experiment, spec, prepared, model, resume=resume, lesson=lesson)
                report = found.fields()
                advised = advice(report) if report is not None and not started.epoch else ()
                taught = lesson.notes if lesson else ()
                for note in (*prepared.notes, *found.notes, *taught, *started.notes, *advised):
                    display.note(note)
                with closing(training.train(started, signals)) as events:
                    for i, event in enumerate(events):
                        if i == 0:  # tracing is behind us, which is Python's work too
                            preload()
                        display.show(event, started.program.steps_per_epoch)
                outcome = finish(started)
            for note in outcome.notes:
                display.note(note)
            if shown:
                shown_then_completed(outcome)
            else:
                outcome.complete()
    return outcome
