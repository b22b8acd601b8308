"""pydantic's errors as sentences for a person: where, the key's path, the value, what is allowed."""

from typing import Any, get_args

from pydantic import BaseModel

from cnnlab.errors import SpecError, did_you_mean
from cnnlab.spec import yaml
from cnnlab.spec.architectures import NAMES
from cnnlab.spec.losses import LOSSES
from cnnlab.spec.schema import Experiment
from cnnlab.spec.tasks import OF_A_HEAD
from cnnlab.spec.types import Frozen
from cnnlab.spec.vocabulary import VOCABULARY, kind_of
from cnnlab.spec.yaml import dotted


def sentence(details: Any, document: yaml.Document) -> SpecError:
    """One of pydantic's errors with its position, path, value, and the nearest name."""
    kind, value = details["type"], details["input"]
    path = path_in(document.data, details["loc"], keep_last=kind == "missing")
    if kind == "extra_forbidden":
        allowed = sorted(key for cls in _classes_at(details["loc"][:-1]) for key in cls.model_fields)
        message = f"unknown key (value {_show(value)})"
        hint = did_you_mean(str(path[-1]), allowed) or f"allowed: {', '.join(allowed)}"
        return SpecError(f"{dotted(path)}: {message}", hint=hint, where=document.where(path, key=True))
    where = document.where(path, key=kind == "missing")
    if kind == "missing":
        return SpecError(f"{dotted(path)}: required, and not there", where=document.where(path[:-1], key=True))
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        path, message, hint, at_key = _tag_message(details, path)
        return SpecError(f"{dotted(path)}: {message}", hint=hint, where=document.where(path, key=at_key))
    if kind == "unknown_layer":
        message, hint = _layer_message(value)
        return SpecError(f"{dotted(path)}: {message}", hint=hint, where=where)
    if kind == "unknown_loss":
        path, message, hint = _loss_message(value, path)
        return SpecError(f"{dotted(path)}: {message}", hint=hint, where=document.where(path))
    if kind in ("literal_error", "enum"):
        allowed = [part.strip("'") for part in details["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        allowed += [tag for tag in details["loc"][-1:] if " " in str(tag)]  # what may stand instead of the words
        message = f"must be one of {', '.join(allowed)}, not {_show(value)}"
        return SpecError(f"{dotted(path)}: {message}", hint=did_you_mean(str(value), allowed), where=where)
    message: str = _MESSAGES.get(kind) or details["msg"][:1].lower() + details["msg"][1:]
    if kind == "string_pattern_mismatch":
        message = _PATTERNS.get(details["ctx"]["pattern"], message)
    for name, text in (details.get("ctx") or {}).items():
        message = message.replace("{" + name + "}", str(text))
    shown = "" if kind in _VALUE_SAID else f", not {_show(value)}"
    return SpecError(f"{dotted(path)}: {message}{shown}", where=where)


_UNIONS = ("data", "model", "optimizer", "task")
_VALUE_SAID = ("no_short_form", "two_names", "twice", "of_test", "class_weight")
_MESSAGES = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_short": "must not be empty",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
}
_PATTERNS = {
    r"^[A-Za-z_][A-Za-z0-9_]*$": "must be of letters, digits and _, and not begin with a digit",
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "must be of letters, digits, '.', '_' and '-', and begin with a letter or digit",
    r"^[A-Z]{3}$": "must be three capital letters, such as DEU",
}


def _show(value: Any) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _tag_message(details: Any, path: yaml.Path) -> tuple[yaml.Path, str, str, bool]:
    """Path, message and hint for a mapping whose kind is missing or unknown; and whether the error is in the key."""
    value = details["input"]
    if not isinstance(value, dict):
        return path, f"must be a mapping of keys, not {_show(value)}", "", False
    key = {"data": "source", "model": "name", "optimizer": "name", "task": "name"}.get(
        str(path[-1]) if path else "", "schedule"
    )
    allowed = _expected(details, path)
    if value.get(key) is None:
        for strange in value:
            if strange != key and (near := did_you_mean(strange, [key])):
                return (*path, strange), f"unknown key (value {_show(value[strange])})", near, True
        wanted = "name (a published network) or layers (written out)" if path == ("model",) else key
        return path, f"needs the key {wanted}", f"{key} is one of {', '.join(allowed)}", False
    what = {
        "source": "data source",
        "name": {"model": "architecture", "task": "task"}.get(str(path[0]), "optimizer"),
    }.get(key, key)
    hint = did_you_mean(str(value[key]), allowed) or f"there are {', '.join(allowed)}"
    if path == ("model",):
        hint += f"{'' if hint.endswith('?') else ';'} 'cnnlab list models' shows all"
    return (*path, key), f"no {what} {_show(value[key])}", hint, False


def _expected(details: Any, path: yaml.Path) -> list[str]:
    if path == ("model",):
        return list(NAMES)
    if path[:2] == ("task", "heads"):
        return [tag for cls in OF_A_HEAD for tag in cls.tags]
    field = Experiment.model_fields.get(str(path[-1]))
    classes = _models_in(field.annotation) if field else _classes_at(("optimizer", "adamw", "learning_rate"))
    return [tag for cls in classes for tag in cls.tags]


def _layer_message(entry: Any) -> tuple[str, str]:
    kind = kind_of(entry)
    if kind is None:
        message = f"a layer is one word with its settings, not {_show(entry)}"
        return message, "write - relu, or - conv: {features: 32, kernel: 3}"
    hint = did_you_mean(kind, list(VOCABULARY)) or f"there are {', '.join(VOCABULARY)}"
    return f"no layer '{kind}'", hint


def _loss_message(value: Any, path: yaml.Path) -> tuple[yaml.Path, str, str]:
    known = [cls.tags[0] for cls in LOSSES]
    if isinstance(value, dict):
        value, path = value["name"], (*path, "name")
    if not isinstance(value, str):
        message = f"must be the name of a loss, or a mapping of keys, not {_show(value)}"
        return path, message, "write loss: huber, or loss: {name: huber, delta: 2}"
    return path, f"no loss {_show(value)}", did_you_mean(value, known) or f"there are {', '.join(known)}"


def path_in(data: Any, loc: tuple[Any, ...], *, keep_last: bool = False) -> yaml.Path:
    """pydantic's location without the tags of unions: the parts that stand in the file."""
    path: list[str | int] = []
    holder: Any = None
    for i, part in enumerate(loc):
        if i == 1 and loc[0] in _UNIONS:  # a tag, which may be a key too: `model: {layers: [...]}`
            continue
        inside = part in data if isinstance(data, dict) else isinstance(data, list) and isinstance(part, int)
        if inside:
            holder, data = data, data[part]
            path.append(part)
        elif data == part and isinstance(loc[i - 1], int):  # a layer's bare word
            holder, data = data, None
            path.append(part)
        elif part == "name" and isinstance(holder, dict) and part in holder:  # beside a layer's word
            path[-1], data = part, holder[part]
        elif keep_last and i == len(loc) - 1:
            path.append(part)
    return tuple(path)


def _classes_at(loc: tuple[Any, ...]) -> list[type[Frozen]]:
    """The schema's classes at one of pydantic's locations."""
    classes: list[type[Frozen]] = [Experiment]
    for i, part in enumerate(loc):
        if isinstance(part, int):
            continue
        if i == 1 and loc[0] in _UNIONS:
            classes = [cls for cls in classes if part in cls.tags] or classes
            continue
        inner = [
            m for cls in classes if part in cls.model_fields for m in _models_in(cls.model_fields[part].annotation)
        ]
        classes = inner or [cls for cls in classes if part in cls.tags] or classes
    return classes


def _models_in(annotation: Any) -> list[type[Frozen]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]  # type: ignore[list-item]
    return list(dict.fromkeys(model for part in get_args(annotation) for model in _models_in(part)))
