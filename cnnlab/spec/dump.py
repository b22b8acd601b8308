"""Experiment -> YAML, every default filled in; reading it gives the same experiment."""

from typing import Any

import yaml

from cnnlab.spec.schema import Experiment
from cnnlab.spec.yaml import scalar


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.2 would not read as text: PyYAML quotes by the rules of 1.1 alone."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = None if isinstance(scalar(value), str) else "'"
    if not value.isprintable():
        style = '"'  # in any other style some line breaks become blanks
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _choosers_first(value: Any) -> Any:
    """Each mapping with the key that says what it is in front: `name: adamw` before the rates."""
    if isinstance(value, list):
        return [_choosers_first(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    keys = sorted(value, key=lambda key: key not in ("name", "source", "schedule"))
    return {key: _choosers_first(value[key]) for key in keys}


def quoted(text: str) -> str:
    """Text as a YAML value on one line."""
    return yaml.dump(text, Dumper=_Dumper, allow_unicode=True, width=10_000).removesuffix("...\n").strip()


def to_yaml(experiment: Experiment) -> str:
    """The resolved spec as text."""
    data = _choosers_first(experiment.model_dump(mode="json", exclude_none=True))
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
