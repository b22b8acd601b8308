"""The table of a split's examples that tasks leave as predictions.csv."""

from collections.abc import Mapping, Sequence

import numpy as np

from cnnlab.metrics.predictions import csv_text
from cnnlab.tasks.task import Found, Listing


def examples_csv(listing: Listing, columns: Mapping[str, Sequence[object]]) -> str:
    """A row an example: its place in the data, its file, and what `columns` say of it; None is an empty cell."""
    files = listing.files or [""] * len(listing.indices)
    rows = zip(listing.indices.tolist(), files, *columns.values(), strict=True)
    return csv_text([("index", "file", *columns), *rows])


def answers_csv(found: Found, listing: Listing, names: Sequence[str], kind: str, answers: np.ndarray) -> str:
    """The loss of each example, and of each name the true value beside the answer, both [example, name]."""
    columns = {"loss": found.values["loss"].tolist()}
    for k, name in enumerate(names):
        columns[f"true {name}"] = found.target[:, k].tolist()
        columns[f"{kind} {name}"] = answers[:, k].tolist()
    return examples_csv(listing, columns)
