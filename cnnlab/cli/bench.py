"""`cnnlab bench`."""

import sys
from typing import Annotated

import typer

from cnnlab.cli.arguments import Json, Overrides, Spec
from cnnlab.errors import CnnlabError

LONGEST = 3600.0


def bench(
    spec: Spec,
    overrides: Overrides = None,
    seconds: Annotated[float, typer.Option("--seconds", help="How long to measure, once all is compiled.")] = 10.0,
    json: Json = False,
) -> None:
    """Measure what training and evaluating a spec cost on this machine: time, memory, share of the peak.

    Runs the spec's own compiled step on its own data, in rounds that alternate with evaluation; writes nothing.
    Multiply-adds are those of `cnnlab summary`, thrice in training: forward and two gradients. The peak is that of
    the fastest matrix product between the rounds.
    """
    if not 0 < seconds <= LONGEST:
        message = f"--seconds: {seconds:g} is no time to measure for"
        raise CnnlabError(message, hint=f"such as 10; above 0, at most {LONGEST:g}")
    from cnnlab.cli.process import keep_memory

    keep_memory()  # as training does; but programs are compiled anew, which is measured too
    from cnnlab.cli import render
    from cnnlab.cli.looking import looking
    from cnnlab.runs.measure import measure
    from cnnlab.runs.network import network
    from cnnlab.runs.pretrained import prepare_experiment
    from cnnlab.spec.load import load
    from cnnlab.tasks import task_of

    with looking():
        experiment, prepared = prepare_experiment(load(spec, overrides))
    found = network(experiment, prepared.input_shape, task_of(experiment, prepared), prepared=prepared)
    for note in prepared.notes:
        render.note(note)
    if experiment.model.unfreeze_at_epoch is not None:
        render.note(f"this is the step before epoch {experiment.model.unfreeze_at_epoch}, while parts are frozen")
    if sys.stderr.isatty():  # one line: what moves on the screen would take part of what is measured
        render.stderr().print(f"compiling, then measuring for about {seconds:g} s")
    measured = measure(experiment, prepared, found, seconds)
    if json:
        render.document(measured.document())
    else:
        render.bench(measured.document())
