"""What all entries of `layers:` have in common."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, create_model

from cnnlab.spec.types import Frozen, Name


class LayerSpec(Frozen):
    """One entry of `layers:`. `kind` is its word, `short` the key that a bare value stands for."""

    kind: ClassVar[str]
    short: ClassVar[str | None] = None
    name: Name | None = Field(default=None, description="the layer's name in tables; else its kind and position")

    def __init_subclass__(cls, kind: str = "", **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if kind:
            cls.kind, cls.tags = kind, (kind,)


def word(kind: str, about: str, module: str) -> type[LayerSpec]:
    """A layer without keys. It must be assigned in `module` to its word in CamelCase, or it cannot be pickled."""
    name = "".join(map(str.capitalize, kind.split("_")))
    return create_model(name, __base__=LayerSpec, __doc__=about, __module__=module, __cls_kwargs__={"kind": kind})
