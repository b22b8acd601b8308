"""What a spec may say of files of records: TFRecord, ArrayRecord, data sets of Hugging Face."""

from typing import Annotated, Literal

from pydantic import Field

from cnnlab.spec.data import FileSource
from cnnlab.spec.images import Channels
from cnnlab.spec.types import PositiveInt, Str


class RecordSource(FileSource):
    """Records of tf.train.Example: the bytes of an image file, raw values or numbers, and a label.

    `path` is a file or a folder of such; -train, -validation, -test in a file's name make splits.
    """

    image: Str = Field(default="image", description="the feature with the image, its values or the numbers")
    label: Str = Field(default="label", description="the feature with a whole number from 0, or text")
    shape: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=4)] | None = Field(
        default=None, description="[*spatial, channel] of values without a header"
    )
    dtype: Literal["uint8", "float32"] = Field(default="uint8", description="of values without a header")
    channels: Channels = 3


class TFRecord(RecordSource):
    """TFRecord files, as TensorFlow and TensorFlow Datasets write them; their checksums are held against them."""

    tags = ("tfrecord",)
    source: Literal["tfrecord"]


class ArrayRecord(RecordSource):
    """ArrayRecord files, as Grain reads them."""

    tags = ("array_record",)
    source: Literal["array_record"]


class HuggingFace(FileSource):
    """A data set of Hugging Face's `datasets`, as save_to_disk writes it: a folder of Arrow files."""

    tags = ("huggingface",)
    source: Literal["huggingface"]
    image: Str = Field(default="image", description="the column of images")
    label: Str = Field(default="label", description="the column of classes, or of numbers to predict")
    channels: Channels = 3
