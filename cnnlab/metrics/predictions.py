"""What a classifier said about each example, and the CSV file that keeps it to the last bit."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float32, Int

from cnnlab.errors import DataError

COLUMNS = ("index", "file", "true", "predicted", "probability", "loss", "rank")


@dataclass(frozen=True, eq=False)
class Predictions:
    """One entry per example, padding already removed; all arrays are 1-D and of the same length.

    `labels` and `predicted` are class indices, `probability` is that of the predicted class, `loss` the
    example's own loss in nats. `rank` counts the classes scored above the true one, where of two equal
    scores the lower class index stands above, as in argmax: rank 0 means predicted == label.
    """

    labels: Int[np.ndarray, " example"]
    predicted: Int[np.ndarray, " example"]
    probability: Float32[np.ndarray, " example"]
    loss: Float32[np.ndarray, " example"]
    rank: Int[np.ndarray, " example"]

    def __post_init__(self):
        for field in fields(self):
            array = getattr(self, field.name)
            if array.shape != self.labels.shape or array.ndim != 1:
                raise ValueError(
                    f"Predictions.{field.name} has shape {array.shape}; "
                    f"all fields are 1-D and as long as labels, {self.labels.shape}"
                )
            floating = field.name in ("probability", "loss")
            if array.dtype != np.float32 if floating else array.dtype.kind not in "iu":
                wanted = "float32" if floating else "an integer type"
                raise ValueError(f"Predictions.{field.name} is {array.dtype}; it must be {wanted}")

    def __len__(self) -> int:
        return len(self.labels)


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """`rows` as CSV with Unix line ends; open the file with ``newline=""`` so that names keep theirs."""
    rows = list(rows)
    # Before Python 3.13 the writer leaves a lone carriage return unquoted, and no reader takes that back.
    carriage_return = any("\r" in cell for row in rows for cell in row if isinstance(cell, str))
    quoting = csv.QUOTE_NONNUMERIC if carriage_return else csv.QUOTE_MINIMAL
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n", quoting=quoting).writerows(rows)
    return buffer.getvalue()


def records_csv(records: Sequence[Mapping[str, object]]) -> str:
    """At least one record as CSV, a row each, under the names of the first; None is an empty cell."""
    return csv_text([tuple(records[0]), *(tuple(record.values()) for record in records)])


def to_csv(
    predictions: Predictions,
    classes: Sequence[str],
    *,
    files: Sequence[str] | None = None,
    indices: Int[np.ndarray, " example"] | None = None,
) -> str:
    """The table ``index,file,true,predicted,probability,loss,rank``, a row per example.

    Classes appear by name; `indices` are the examples' places in the data (0, 1, 2 ... if not given),
    `files` where they came from (empty if not given). Floats get all digits of the float32,
    so that who averages the column in float64 gets the figures of metrics.json.
    Raises DataError where two classes share a name.
    """
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        raise DataError(f"two classes are named {twice[0]!r}", hint="a table by name needs each name once")
    indices = np.arange(len(predictions)) if indices is None else indices
    files = [""] * len(predictions) if files is None else files
    rows = zip(
        (int(index) for index in indices),
        files,
        (classes[label] for label in predictions.labels),
        (classes[label] for label in predictions.predicted),
        map(float, predictions.probability),
        map(float, predictions.loss),
        (int(rank) for rank in predictions.rank),
        strict=True,
    )
    return csv_text([COLUMNS, *rows])
