"""YAML -> Experiment: overrides, all errors at once with their positions, the nearest name."""

import os
from pathlib import Path

from pydantic import ValidationError

from cnnlab.errors import SpecError, SpecErrors, did_you_mean
from cnnlab.spec import yaml
from cnnlab.spec.contradictions import contradictions
from cnnlab.spec.messages import path_in, sentence
from cnnlab.spec.overrides import apply
from cnnlab.spec.rosenblatt import with_rule
from cnnlab.spec.schema import Experiment
from cnnlab.spec.yaml import dotted


def load(path: Path, overrides: list[str] | None = None, *, begun: bool = False) -> Experiment:
    """Read a spec file. Raises SpecErrors that lists everything wrong with it.

    Of a run that has `begun`, settings are not held against each other again: its time may have had other rules.
    """
    if path.is_dir():
        raise SpecError("is a directory, not a spec", where=str(path), hint="name a .yaml file")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = did_you_mean(path.name, [p.name for p in path.parent.glob("*.y*ml")])
        raise SpecError("no such spec file", where=str(path), hint=near or "'cnnlab init' writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot be read: {error}", where=str(path), hint="a spec is text in UTF-8") from None
    return _anchored(parse(text, str(path), overrides, default_name=path.stem, begun=begun), path.parent)


def _anchored(experiment: Experiment, folder: Path) -> Experiment:
    """The paths of data, weights and teacher as absolute ones; in a spec they start at the spec's folder."""

    def absolute(path: str) -> str:
        return os.path.realpath(folder / Path(path).expanduser())  # Path.resolve fails where links go in a circle

    data, model, distill = experiment.data, experiment.model, experiment.distill
    paths = {key: getattr(data, key) for key in data.path_keys}
    data = data.model_copy(update={key: absolute(path) for key, path in paths.items() if path is not None})
    if data.split is not None:
        data = data.model_copy(update={"split": data.split.with_paths(absolute)})
    if model.weights is not None:
        model = model.model_copy(update={"weights": absolute(model.weights)})
    if distill is not None:
        distill = distill.model_copy(update={"teacher": absolute(distill.teacher)})
    return experiment.model_copy(update={"data": data, "model": model, "distill": distill})


def parse(
    text: str,
    source: str,
    overrides: list[str] | None = None,
    *,
    default_name: str = "experiment",
    begun: bool = False,
) -> Experiment:
    """The experiment that `text` describes; `source` is its name in messages."""
    document = yaml.parse(text, source)
    if not isinstance(document.data, dict):
        hint = "the shortest spec is 'data: {source: digits}' and 'model: {name: mlp}'"
        raise SpecError("a spec is a mapping with the keys data and model", where=source, hint=hint)
    apply(document, overrides or [])
    errors = list(document.errors)
    experiment = None
    try:
        experiment = with_rule(Experiment.model_validate(document.data))
    except ValidationError as error:
        errors += [sentence(details, document) for details in error.errors()]
    if experiment is not None and not begun:
        for path, message in contradictions(experiment):
            if path[0] == "model":
                path = path_in(document.data, (path[0], experiment.model.tags[0], *path[1:]))
            errors.append(SpecError(f"{dotted(path)}: {message}", where=document.where(path, key=True)))
    if errors or experiment is None:
        raise SpecErrors(sorted(errors, key=_line))
    return experiment if experiment.name else experiment.model_copy(update={"name": safe_name(default_name)})


def safe_name(stem: str) -> str:
    """A file's name as the name of an experiment, with - for what may not be in one."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in stem).lstrip("._-")
    return kept or "experiment"


def _line(error: SpecError) -> tuple[str, int, int]:
    name, *numbers = error.where.rsplit(":", 2)
    line, column = numbers if len(numbers) == 2 and all(n.isdigit() for n in numbers) else (0, 0)
    return name, int(line), int(column)
