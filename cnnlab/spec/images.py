"""What a spec may say of images that lie in files: how they are decoded, and where their pixels are kept."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from cnnlab.spec.types import Frozen, NonNegativeInt, Str, whole_number

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
SIZE = rf"^([0-9]+(?:\.[0-9]+)?) ?({'|'.join(UNITS)})$"

Decode = Literal["reduced", "full", "simplejpeg"]


def _memory_size(text: Any) -> str:
    if not isinstance(text, str) or not re.fullmatch(SIZE, text):
        raise PydanticCustomError("memory_size", "must be a number and a unit, such as 512MiB or 2GB")
    return text


MemorySize = Annotated[Str, BeforeValidator(_memory_size), Field(json_schema_extra={"pattern": SIZE})]
Channels = Annotated[Literal[1, 3], BeforeValidator(whole_number, json_schema_input_type=Literal[1, 3])]


class ImageKeys(Frozen):
    """The keys of every source whose examples are image files."""

    channels: Channels = 3
    decode: Decode = Field(
        default="reduced",
        description="a JPEG that is resized: at a half, a quarter or an eighth where that is enough; "
        "full: every pixel; simplejpeg: as reduced, by the package of that name (cnnlab[fast-images])",
    )
    memory: MemorySize = Field(
        default="256MiB", description="images that take more, decoded and resized, stay files and are read anew"
    )
    cache: Str | None = Field(default=None, description="a folder where decoded and resized images are kept")
    workers: NonNegativeInt = Field(
        default=0,
        description="processes that read the training images which stay files, Grain's (cnnlab[grain]); 0: threads, "
        "which evaluation has in any case",
    )

    @property
    def memory_bytes(self) -> int:
        """`memory` as a number."""
        found = re.fullmatch(SIZE, self.memory)
        assert found is not None, "the schema let it through"
        return int(float(found[1]) * UNITS[found[2]])
