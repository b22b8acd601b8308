"""The pictures of eval/<split>/, by task."""

from typing import Any

from cnnlab.report.figures import confusion_matrix_png
from cnnlab.tasks.task import Found


def pictures(report: dict[str, Any], found: Found) -> dict[str, bytes]:
    """File name -> PNG, the most telling one first."""
    return {"confusion_matrix.png": confusion_matrix_png(report)}
