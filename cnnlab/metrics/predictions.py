"""What a classifier said about each example, and the CSV file that keeps it to the last bit."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float32, Int

from cnnlab.errors import DataError, did_you_mean

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


def concatenate(parts: Sequence[Predictions]) -> Predictions:
    """The examples of all `parts` in order, indices as int64; no parts give no examples."""

    def join(name: str, dtype: type[np.generic]) -> np.ndarray:
        return np.concatenate([np.zeros(0, dtype), *(getattr(part, name) for part in parts)], dtype=dtype)

    return Predictions(
        labels=join("labels", np.int64),
        predicted=join("predicted", np.int64),
        probability=join("probability", np.float32),
        loss=join("loss", np.float32),
        rank=join("rank", np.int64),
    )


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """`rows` as CSV with Unix line ends; open the file with ``newline=""`` so that names keep theirs."""
    rows = list(rows)
    # Before Python 3.13 the writer leaves a lone carriage return unquoted, and no reader takes that back.
    carriage_return = any("\r" in cell for row in rows for cell in row if isinstance(cell, str))
    quoting = csv.QUOTE_NONNUMERIC if carriage_return else csv.QUOTE_MINIMAL
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n", quoting=quoting).writerows(rows)
    return buffer.getvalue()


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
    _class_indices(classes)
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


def from_csv(
    text: str, classes: Sequence[str], *, where: str = "predictions.csv"
) -> tuple[Predictions, Int[np.ndarray, " example"], tuple[str, ...]]:
    """Predictions, indices and files out of what `to_csv` wrote, the same bit for bit.

    Raises DataError with `where`:line for another header, a short row, a class that is not in `classes`
    or a number that is none.
    """
    class_indices = _class_indices(classes)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    try:
        header = next(reader, [])
        if tuple(header) != COLUMNS:
            raise DataError(
                f"the columns are {','.join(header)!r}",
                hint=f"expected {','.join(COLUMNS)!r}",
                where=f"{where}:1",
            )
        rows = [_parse_row(row, class_indices, f"{where}:{reader.line_num}") for row in reader]
    except csv.Error as error:
        raise DataError(f"this is not CSV: {error}", where=f"{where}:{reader.line_num}") from None
    index, file, true, predicted, probability, loss, rank = zip(*rows, strict=True) if rows else ((),) * 7
    predictions = Predictions(
        labels=np.array(true, np.int64),
        predicted=np.array(predicted, np.int64),
        probability=np.array(probability, np.float32),
        loss=np.array(loss, np.float32),
        rank=np.array(rank, np.int64),
    )
    return predictions, np.array(index, np.int64), tuple(file)


def _parse_row(row: list[str], class_indices: dict[str, int], where: str) -> tuple:
    if len(row) != len(COLUMNS):
        raise DataError(f"{len(row)} columns instead of {len(COLUMNS)}", hint="the file is damaged", where=where)
    index, file, true, predicted, probability, loss, rank = row
    for name in (true, predicted):
        if name not in class_indices:
            hint = did_you_mean(name, list(class_indices)) or "the file belongs to other data"
            raise DataError(f"no class {name!r}", hint=hint, where=where)
    try:
        numbers = int(index), float(probability), float(loss), int(rank)
    except ValueError as error:
        raise DataError(f"not a number: {error}", hint="the file is damaged", where=where) from None
    return numbers[0], file, class_indices[true], class_indices[predicted], *numbers[1:]


def _class_indices(classes: Sequence[str]) -> dict[str, int]:
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        raise DataError(f"two classes are named {twice[0]!r}", hint="a table by name needs each name once")
    return {name: index for index, name in enumerate(classes)}
