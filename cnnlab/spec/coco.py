"""What a spec may say of COCO's JSON."""

from typing import Literal

from pydantic import Field

from cnnlab.spec.data import ImageFiles
from cnnlab.spec.types import Str


class Coco(ImageFiles):
    """COCO's JSON of images, annotations (bbox) and categories, one for all or one for each split; `path` has the
    images."""

    tags = ("coco",)
    path_keys = ("path", "annotations", "train", "validation", "test", "cache")
    source: Literal["coco"]
    annotations: Str | None = Field(default=None, description="the JSON of all images, which are split")
    train: Str | None = Field(default=None, description="instead of annotations: the JSON of the training split")
    validation: Str | None = None
    test: Str | None = None
