"""A topic's runs against what its heads promise: a row for each claim."""

from collections.abc import Mapping
from dataclasses import dataclass

from experiments.course.claims import DIVERGES, Claim
from experiments.course.runs import Ended
from experiments.course.topics import Spec, Topic


@dataclass(frozen=True)
class Row:
    """A claim of a spec, what its run showed, and whether that is as claimed."""

    spec: str
    expected: str
    found: str
    seconds: float
    ok: bool


def check(topic: Topic, ended: Mapping[str, Ended]) -> list[Row]:
    """Every claim of a topic; `ended` has the runs by the specs' file names."""
    return [row for spec in topic.specs for row in _rows(spec, ended)]


def _rows(spec: Spec, ended: Mapping[str, Ended]) -> list[Row]:
    run = ended[spec.name]
    name = f"{spec.path.parent.name}/{spec.name}"
    if spec.expected.diverges:
        found = DIVERGES if run.diverged else _failed(run) or "trained to the end"
        return [Row(name, DIVERGES, found, run.seconds, run.diverged)]
    if run.code:
        return [Row(name, text, _failed(run), run.seconds, ok=False) for text in spec.expected.texts]
    return [Row(name, claim.text, *_checked(claim, run, ended)) for claim in spec.expected.claims]


def _failed(run: Ended) -> str:
    lines = run.error.splitlines()
    return f"exit code {run.code}: {lines[-1] if lines else 'nothing said'}" if run.code else ""


def _checked(claim: Claim, run: Ended, ended: Mapping[str, Ended]) -> tuple[str, float, bool]:
    try:
        found = run.figure(claim.figure)
        compared = 0.0 if claim.other is None else ended[claim.other].figure(claim.figure)
    except (KeyError, FileNotFoundError) as error:
        return f"no such figure: {error}", run.seconds, False
    text = f"{found:.4g}" if claim.other is None else f"{found:.4g}, {claim.other} {compared:.4g}"
    return text, run.seconds, claim.holds(found, compared)
