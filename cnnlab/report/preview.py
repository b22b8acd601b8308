"""What `cnnlab data preview` shows: examples of training, and what augmentation makes of them in the first epochs."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.data.augment import Mixture, Sample, augment, centre_crop, example_keys, mix, scale
from cnnlab.data.batches import order
from cnnlab.data.prepare import Prepared, prepare
from cnnlab.errors import SpecError
from cnnlab.runs.pretrained import prepare_experiment
from cnnlab.spec.augment import Augmentation
from cnnlab.spec.load import load
from cnnlab.spec.schema import Experiment, NoData
from cnnlab.spec.tasks import normal_of


@dataclass(frozen=True, eq=False)
class View:
    """One cell: x [*spatial, channel], mask [*spatial] and boxes [object, 2 * axes + 1] as in `Sample`, and a text."""

    x: np.ndarray
    mask: np.ndarray | None
    boxes: np.ndarray | None
    text: str


@dataclass(frozen=True, eq=False)
class Previewed:
    """rows: of each example the original and its versions; columns: their heads; pixels: whether x is from 0 to 1;
    mask_names, box_names: of the classes in masks and boxes."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[View, ...], ...]
    pixels: bool
    mask_names: tuple[str, ...]
    box_names: tuple[str, ...]
    notes: tuple[str, ...]


def previewed(spec: Path, overrides: list[str], examples: int, versions: int) -> Previewed:
    """The first `examples` of the first epoch, in as many epochs as `versions`. Raises SpecError and DataError."""
    experiment = load(spec, overrides)
    if isinstance(experiment.data, NoData):
        raise SpecError(
            "the spec has no data", where=str(spec), hint="give data.source; 'cnnlab list sources' shows all"
        )
    if experiment.model.weights is not None:  # which say how large images are
        return of_prepared(*prepare_experiment(experiment), examples, versions)
    prepared = prepare(experiment.data, Path(), experiment.seed, normal_of(experiment.task))
    return of_prepared(experiment, prepared, examples, versions)


def of_prepared(experiment: Experiment, prepared: Prepared, examples: int, versions: int) -> Previewed:
    """The same of data that is read already. Raises SpecError where there is nothing to look at."""
    dataset, train = prepared.dataset, prepared.splits["train"]
    if dataset.x.ndim == 2:
        message = f"the examples are vectors of {dataset.x.shape[1]}"
        raise SpecError(message, where="data", hint="signals, images and volumes can be looked at")
    index = train[order(experiment.seed, 0, len(train))][:examples]
    labels = [_label(prepared, i) for i in index]
    whole = _sample(prepared, index)
    originals = [_named(prepared, i, label) for i, label in zip(index, labels, strict=True)]
    columns, heads, notes = [_views(_centre(whole, prepared), originals)], ["original"], list(prepared.notes)
    if not experiment.data.augment:
        versions = 0
        notes.append("data.augment is empty: training sees the originals")
    for epoch in range(versions):
        columns.append(_version(experiment, prepared, whole, index, labels, epoch))
        heads.append(f"epoch {epoch + 1}")
    names = {name: dataset.targets[name].names if name in dataset.targets else () for name in ("mask", "boxes")}
    pixels = dataset.x.dtype == np.uint8
    title, rows = experiment.name or dataset.source, tuple(zip(*columns, strict=True))
    return Previewed(title, tuple(heads), rows, pixels, names["mask"], names["boxes"], tuple(notes))


def _sample(prepared: Prepared, index: np.ndarray) -> Sample:
    targets = prepared.dataset.targets
    mask, boxes = (jnp.asarray(targets[name].values[index]) if name in targets else None for name in ("mask", "boxes"))
    return Sample(scale(jnp.asarray(prepared.dataset.x[index])), mask, boxes)


def _centre(sample: Sample, prepared: Prepared) -> Sample:
    """As evaluation sees it."""
    return centre_crop(sample, prepared.input_shape[:-1])


@partial(jax.jit, static_argnums=(0, 1, 4))
def _made(
    entries: tuple[Augmentation, ...],
    size: tuple[int, ...],
    whole: Sample,
    std: np.ndarray,
    seed: int,
    epoch: int,
    index: np.ndarray,
) -> tuple[Sample, Mixture]:
    keys = example_keys(seed, epoch, jnp.asarray(index))
    made = centre_crop(augment(whole, keys, entries, std), size)
    return made, mix(made.x, keys, entries)


def _version(
    experiment: Experiment, prepared: Prepared, whole: Sample, index: np.ndarray, labels: list[str], epoch: int
) -> list[View]:
    """What training makes of the examples in an epoch, but that they are mixed with one another."""
    made, mixture = _made(
        experiment.data.augment, prepared.input_shape[:-1], whole, prepared.std, experiment.seed, epoch, index
    )
    weights, partners = np.asarray(mixture.weight), np.asarray(mixture.partner)
    texts = [
        "" if weight == 1 else f"{weight:.0%} of {labels[i]}, {1 - weight:.0%} of {labels[partner]}"
        for i, (weight, partner) in enumerate(zip(weights, partners, strict=True))
    ]
    return _views(made._replace(x=mixture.x), texts)


def _views(sample: Sample, texts: list[str]) -> list[View]:
    x, mask, boxes = (None if part is None else np.asarray(part) for part in sample)
    assert x is not None
    return [
        View(x[i], None if mask is None else mask[i], None if boxes is None else boxes[i], text)
        for i, text in enumerate(texts)
    ]


def _label(prepared: Prepared, i: int) -> str:
    """What an example is: its class, its labels or its values."""
    dataset = prepared.dataset
    if "labels" in dataset.targets:
        target = dataset.targets["labels"]
        return ", ".join(name for name, holds in zip(target.names, target.values[i], strict=True) if holds) or "none"
    if "values" in dataset.targets:
        target = dataset.targets["values"]
        pairs = zip(target.names, target.values[i], strict=True)
        return ", ".join(f"{name} {value:.4g}" for name, value in pairs)
    return dataset.classes[dataset.y[i]] if dataset.classes else ""


def _named(prepared: Prepared, i: int, label: str) -> str:
    name = Path(prepared.dataset.files[i]).name if prepared.dataset.files else f"#{i}"
    return f"{label}\n{name}" if label else name
