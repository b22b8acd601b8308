"""The names that a spec may use, with their settings: read off the schema, so that they are never out of date."""

from typing import Any

from cnnlab.spec import augment, losses, metrics, optimizers, schedules, sources, train
from cnnlab.spec.architectures import NAMES, ModelSpec
from cnnlab.spec.types import Frozen
from cnnlab.spec.vocabulary import VOCABULARY

_CHOOSERS = ("name", "source", "schedule")  # not settings of the thing itself
_CLASSES: dict[str, tuple[type[Frozen], ...]] = {
    "sources": sources.SOURCES,
    "losses": losses.LOSSES,
    "optimizers": optimizers.OPTIMIZERS,
    "schedules": schedules.SCHEDULES,
}


def catalogue(kind: str) -> list[tuple[str, str]]:
    """Name and settings (`kernel, stride=1, ...`) of every entry of a kind: models, layers, optimizers, ..."""
    match kind:
        case "models":
            return [(name, settings(cls)) for name, cls in NAMES.items()]
        case "layers":
            return [(name, settings(cls)) for name, cls in VOCABULARY.items()]
        case "augmentations":
            fields = augment.Augmentation.model_fields
            return [(name, field.description or "") for name, field in fields.items()]
        case "metrics":
            watched = [(name, "for early_stopping") for name in train.METRICS]
            return watched + [
                (name, f"of {task}: {what}")
                for task, each in metrics.METRICS_OF_TASK.items()
                for name, what in each.items()
            ]
    return [(cls.tags[0], settings(cls)) for cls in _CLASSES[kind]]


def settings(cls: type[Frozen]) -> str:
    """The keys of a schema class; those with a default after the required ones."""
    common = ModelSpec.model_fields if issubclass(cls, ModelSpec) else {}
    fields = {name: field for name, field in cls.model_fields.items() if name not in _CHOOSERS and name not in common}
    required = [name for name, field in fields.items() if field.is_required()]
    return ", ".join(
        [*required, *(f"{name}={_text(field.default)}" for name, field in fields.items() if name not in required)]
    )


def _text(value: Any) -> str:
    if isinstance(value, schedules.Schedule):
        return str(value.model_dump()["schedule"])  # type: ignore[no-any-return]
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(list(value) if isinstance(value, tuple) else value)
